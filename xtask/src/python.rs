//! The Python package: a virtual environment with pinned tools under the target folder, the wheel, its tests and its
//! benchmark. Nothing has to be installed by hand but Python itself.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{cargo, root, run, target};

/// Tests the package as a user gets it: built as a wheel, installed, imported from there.
pub(crate) fn test() -> Result<(), String> {
    let environment = Environment::with("requirements-test.txt")?;
    // Without optimization, so that what the workspace has compiled is used again.
    let wheel = environment.build("wheels-for-tests", &["--strip"])?;
    environment.install(&wheel)?;
    environment.python(&["-m", "mypy", "--strict", "--package", "amply_sdk"])?;
    environment.python(&["-m", "mypy", "--strict", "amply-py/tests/typed.py", "examples/python"])?;
    environment.python(&["-m", "mypy.stubtest", "amply_sdk"])?;
    // What the parity table compares the package with.
    cargo(&["build", "--quiet", "--package", "amply-cli", "--package", "amply-tests", "--bins"], &[])?;
    environment.python(&[
        "-m",
        "pytest",
        "--config-file",
        "amply-py/pyproject.toml",
        "-q",
        "amply-py/tests",
        "tests/parity",
    ])
}

/// Leaves the wheel in `wheels` of the target folder.
pub(crate) fn wheel() -> Result<(), String> {
    let wheel = Environment::with("requirements-test.txt")?.build("wheels", &["--release"])?;
    let said = format!("{}\n", wheel.display());
    std::io::Write::write_all(&mut std::io::stdout(), said.as_bytes()).map_err(|error| error.to_string())
}

/// Compares the package with other clients, in one run.
pub(crate) fn bench() -> Result<(), String> {
    let environment = Environment::with("requirements-bench.txt")?;
    let wheel = environment.build("wheels", &["--release"])?;
    environment.install(&wheel)?;
    cargo(&["build", "--quiet", "--release", "--package", "xtask", "--bin", "constant_server"], &[])?;
    let server = target()?.join("release").join("constant_server");
    environment.run(&["amply-py/benches/compare.py"], &[server.as_os_str()])
}

/// A virtual environment.
struct Environment(PathBuf);

impl Environment {
    /// The one with the packages that a file of `amply-py` names, made where it is not there or was made for another file.
    fn with(requirements: &str) -> Result<Self, String> {
        let file = root()?.join("amply-py").join(requirements);
        let wanted = std::fs::read_to_string(&file)
            .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        let name = requirements.trim_end_matches(".txt").replace("requirements", "python");
        let environment = Self(target()?.join(name));
        let stamp = environment.0.join("installed.txt");
        if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(environment);
        }
        let mut python = Command::new("python3");
        python.args(["-c", "import sys; sys.exit(sys.version_info < (3, 10))"]);
        run(python, "python3 of version 3.10 or newer")?;
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(&environment.0);
        run(make, "python3 -m venv")?;
        environment.run(
            &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"],
            &[file.as_os_str()],
        )?;
        std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
        Ok(environment)
    }

    /// Builds the wheel into a folder of the target folder, where it is the only one.
    fn build(&self, folder: &str, options: &[&str]) -> Result<PathBuf, String> {
        let folder = target()?.join(folder);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let mut arguments = vec!["-m", "maturin", "build", "--quiet", "--locked"];
        arguments.extend(["--manifest-path", "amply-py/Cargo.toml"]);
        arguments.extend(options);
        arguments.push("--out");
        self.run(&arguments, &[folder.as_os_str()])?;
        let built = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let wheel = built.filter_map(Result::ok).map(|entry| entry.path());
        wheel
            .into_iter()
            .find(|file| file.extension() == Some(OsStr::new("whl")))
            .ok_or_else(|| format!("there is no wheel in {}", folder.display()))
    }

    fn install(&self, wheel: &Path) -> Result<(), String> {
        let options = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];
        let options: Vec<&str> = options.into_iter().chain(["--no-index", "--force-reinstall"]).collect();
        self.run(&options, &[wheel.as_os_str()])
    }

    fn python(&self, arguments: &[&str]) -> Result<(), String> {
        self.run(arguments, &[])
    }

    fn run(&self, arguments: &[&str], files: &[&OsStr]) -> Result<(), String> {
        let folder = if cfg!(windows) { "Scripts" } else { "bin" };
        let mut command = Command::new(self.0.join(folder).join("python"));
        // The package is to be found where it was installed, and nowhere else.
        command.args(arguments).args(files).env_remove("PYTHONPATH").env("PYTHONNOUSERSITE", "1");
        command.env("AMPLY_PROGRAMS", target()?.join("debug"));
        let shown: Vec<&str> = arguments.iter().copied().take(6).collect();
        run(command, &format!("python {}", shown.join(" ")))
    }
}
