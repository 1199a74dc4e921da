//! Where the store is: what was typed, what the environment says, or the platform's folder for state.

use std::ffi::OsString;
use std::path::PathBuf;

use amply_sdk::{Error, Store, env};

/// The file of the store. It need not be there.
pub(crate) fn of_store(typed: Option<&PathBuf>) -> Result<PathBuf, Error> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    choose(typed, &variable, std::env::home_dir()).ok_or_else(|| {
        Error::Store(format!(
            "there is no place for the store: no home folder is known; name a file with `--store` or {}",
            env::STORE
        ))
    })
}

/// Opens the store, and makes it where there is none. Another process may hold it for a while: the thread that listens for
/// Ctrl-C does not wait for it.
pub(crate) async fn open(file: Result<PathBuf, Error>) -> Result<Store, Error> {
    let file = file?;
    let opened = tokio::task::spawn_blocking(move || Store::open(file)).await;
    opened.unwrap_or_else(|_| Err(Error::Store("opening the store was broken off".to_owned())))
}

/// Opens the store if there is one. What cannot be looked at is told by opening it.
pub(crate) async fn open_if_there(file: PathBuf) -> Result<Option<Store>, Error> {
    match file.try_exists() {
        Ok(false) => Ok(None),
        _ => open(Ok(file)).await.map(Some),
    }
}

fn choose(
    typed: Option<&PathBuf>,
    variable: &dyn Fn(&str) -> Option<OsString>,
    home: Option<PathBuf>,
) -> Option<PathBuf> {
    if let Some(named) = typed.cloned().or_else(|| variable(env::STORE).map(PathBuf::from)) {
        return Some(named);
    }
    let home = home.filter(|home| home.is_absolute());
    let folder = if cfg!(windows) {
        variable("LOCALAPPDATA").map(PathBuf::from)
    } else if cfg!(target_os = "macos") {
        home.map(|home| home.join("Library/Application Support"))
    } else {
        // A relative one is to be ignored, as its specification says.
        let state = variable("XDG_STATE_HOME").map(PathBuf::from).filter(|state| state.is_absolute());
        state.or_else(|| home.map(|home| home.join(".local/state")))
    };
    folder.map(|folder| folder.join("amply").join("store.db"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(unix, not(target_os = "macos")))]
    fn what_was_typed_goes_before_the_variable_and_the_folder_for_state() {
        let place = |typed: Option<&str>, variables: &[(&str, &str)], home: Option<&str>| {
            let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
            let variable = |name: &str| find(name).map(|(_, value)| value.into());
            let place = choose(typed.map(PathBuf::from).as_ref(), &variable, home.map(PathBuf::from));
            place.map(|place| place.to_str().unwrap().to_owned())
        };
        let is = |place: &str| Some(place.to_owned());
        let variables = [("AMPLY_STORE", "of-variable"), ("XDG_STATE_HOME", "/state")];
        assert_eq!(place(Some("typed"), &variables, Some("/home/me")), is("typed"));
        assert_eq!(place(None, &variables, Some("/home/me")), is("of-variable"));
        assert_eq!(place(None, &variables[1..], None), is("/state/amply/store.db"));
        assert_eq!(
            place(None, &[("XDG_STATE_HOME", "state")], Some("/home/me")),
            is("/home/me/.local/state/amply/store.db")
        );
        assert_eq!(place(None, &[], Some("")), None);
        assert_eq!(place(None, &[], None), None);
    }
}
