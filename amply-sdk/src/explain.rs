//! How the scores of a route were made, and what each provider that lost would need to win.
//!
//! This file decides and does no I/O. The figures of an answer are put through the server's own arithmetic first; only where
//! that gives the scores that were sent is anything said in the figures' own units. What an answer lacks is named and never
//! an error.

use indexmap::IndexMap;
use serde::Serialize;

use crate::wire::{Components, ProviderMetrics, Ranking, RawMetrics, Route};

/// How many providers are looked into, the best first: an answer can name more than a person reads, and each is weighed
/// against all others.
const LOOKED_INTO: usize = 50;
/// Scores are sent with four decimals.
const ROUNDING: f64 = 0.000_05 + 1e-9;

/// How the scores of a route were made, from [`Route::explain`]. As JSON: the same names.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The id of the provider that was recommended.
    pub recommended: String,
    /// Why, in the server's words.
    pub why: Option<String>,
    /// How much each component counts; they sum to 1.
    pub weights: IndexMap<String, f64>,
    /// Whether the figures of the answer give the scores that were sent, by the server's own arithmetic. Then the scores here
    /// have all their digits, and what a provider would need is said in its figures' own units; else the scores are as they
    /// were sent, to four decimals.
    pub is_exact: bool,
    /// The providers, best first; those that a hard limit ruled out come last.
    pub providers: Vec<Explained>,
    /// What is not told here, because the answer does not say it, in words; empty where nothing is missing.
    pub missing: Vec<String>,
}

/// One provider's part of an [`Explanation`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Explained {
    /// The provider's id.
    pub provider_id: String,
    /// Its place, 1 is best; `None` for one that was ruled out.
    pub rank: Option<u64>,
    /// Its composite score, 0 to 1: the sum of the contributions.
    pub composite: Option<f64>,
    /// What the score is made of.
    pub components: Vec<Contribution>,
    /// Why a hard limit of the request ruled it out, in the server's words; `None` for one that was ranked.
    pub ruled_out: Option<Vec<String>>,
    /// What it would need to win; `None` for the one that is recommended.
    pub to_win: Option<ToWin>,
}

/// What one component adds to a score.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Contribution {
    /// Its name: `success`, `latency`, `cost`, `reliability`, or another that the server has.
    pub component: String,
    /// How much it counts.
    pub weight: Option<f64>,
    /// The component itself, 0 to 1, more is better.
    pub value: Option<f64>,
    /// Weight times value.
    pub contribution: Option<f64>,
}

/// What a provider would need to win.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ToWin {
    /// How much its score lacks. Zero or below for one that scores as well or better: because a hard limit ruled it out, because
    /// of two equal ones the earlier wins, or for a reason that the answer does not say (then `missing` names it).
    pub gap: Option<f64>,
    /// For each component, what it would take if nothing else changed. Empty for one that was ruled out: it must keep to the
    /// request's limits first. Empty also where the scores that were sent are not exact and the gap is not above zero.
    pub changes: Vec<Change>,
}

/// One change that would let a provider win, if it were the only one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// The component's name.
    pub component: String,
    /// Whether it can win by this alone.
    pub is_reachable: bool,
    /// What the component would be then; `None` where it cannot win by this alone.
    pub needed: Option<f64>,
    /// How much more than now that is.
    pub change: Option<f64>,
    /// The provider's figure behind the component, as the API names it: `p99_latency_ms` is in ms, `cost_per_1m_dims_usd` in
    /// USD, `success_rate_last_24h` and `win_rate` are shares from 0 to 1. `None` where that is not known.
    pub metric: Option<&'static str>,
    /// The figure as it is.
    pub metric_now: Option<f64>,
    /// The figure with which it would win, or anything better; `None` where it cannot win by this alone, and where that is not
    /// known exactly.
    pub metric_needed: Option<f64>,
}

impl Route {
    /// How the scores were made, and what each provider that lost would need to win. Computed at each call: keep the result.
    ///
    /// What is said of a provider is said of it alone: one figure changes, all else stays. Latency and cost count in
    /// comparison with all other providers, so that a figure that becomes the best or stops being the worst changes the scores
    /// of the others too; that is taken into account.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let sandbox = amply_sandbox::Sandbox::builder().start().await?;
    /// # let client = amply_sdk::Client::builder().base_url(sandbox.url()).api_key(sandbox.user_key()).build()?;
    /// let explanation = client.route_task("store 1M vectors").await?.explain();
    /// assert!(explanation.is_exact && explanation.missing.is_empty());
    /// for provider in &explanation.providers {
    ///     let Some(to_win) = &provider.to_win else { continue };
    ///     for change in to_win.changes.iter().filter(|change| change.is_reachable) {
    ///         println!("{} would win with {:?} = {:?}", provider.provider_id, change.metric, change.metric_needed);
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn explain(&self) -> Explanation {
        let raw = self.raw_metrics();
        let rankings = self.rankings();
        let ruled_out: IndexMap<String, Vec<String>> =
            self.ruled_out().into_iter().map(|out| (out.provider_id, out.reasons)).collect();
        let model = raw.as_ref().and_then(|raw| Model::of(raw, &self.recommended, &ruled_out));
        let mut missing = Vec::new();
        if raw.is_none() {
            missing.push("the figures that the scores are made of (`raw_metrics`)".to_owned());
        }
        let weights = raw.as_ref().map(|raw| raw.weights.clone()).unwrap_or_default();
        if raw.is_some() && weights.is_empty() {
            missing.push("how much each component counts (`raw_metrics.weights`)".to_owned());
        }
        let providers = candidates(rankings, raw, &ruled_out);
        if providers.is_empty() {
            missing.push("any provider but the recommended one".to_owned());
        }
        let view = View { recommended: &self.recommended, weights: &weights, model: model.as_ref() };
        let best = providers.iter().find(|provider| provider.id == self.recommended);
        let best = best.and_then(|provider| view.composite(provider));
        let explained: Vec<Explained> = providers
            .iter()
            .enumerate()
            .map(|(place, provider)| view.explain(provider, best, place < LOOKED_INTO))
            .collect();
        for provider in &explained {
            let id = crate::text::one_line(&provider.provider_id, 80);
            if provider.composite.is_none() {
                missing.push(format!("the score of `{id}`"));
            }
            if provider.components.iter().all(|part| part.value.is_none()) {
                missing.push(format!("the components of `{id}`"));
            }
        }
        // Only what the figures do not give can be so: where they do, ties are decided by the catalog's order.
        let is_no_worse = |provider: &&Explained| {
            provider.ruled_out.is_none()
                && provider.to_win.as_ref().and_then(|to_win| to_win.gap).is_some_and(|gap| gap <= 0.0)
        };
        if let Some(other) = explained.iter().find(is_no_worse).filter(|_| model.is_none()) {
            let [best, other] =
                [&self.recommended, &other.provider_id].map(|id| crate::text::one_line(id, 80));
            missing.push(format!(
                "why `{best}` was recommended and not `{other}`: the scores that were sent do not explain it"
            ));
        }
        if explained.len() > LOOKED_INTO {
            missing.push(format!("what all but the best {LOOKED_INTO} would need to win"));
        }
        Explanation {
            recommended: self.recommended.clone(),
            why: self.why_text(),
            weights,
            is_exact: model.is_some(),
            providers: explained,
            missing,
        }
    }
}

/// A provider as the answer has it.
struct Candidate {
    id: String,
    rank: Option<u64>,
    score: Option<f64>,
    components: Option<Components>,
    ruled_out: Option<Vec<String>>,
}

/// The providers of the ranking, and after them those that are known and not in it.
fn candidates(
    rankings: Vec<Ranking>,
    raw: Option<RawMetrics>,
    ruled_out: &IndexMap<String, Vec<String>>,
) -> Vec<Candidate> {
    let mut known = raw.map(|raw| raw.all_providers).unwrap_or_default();
    let mut ranked = Vec::new();
    for ranking in rankings {
        let metrics = known.shift_remove(&ranking.provider_id);
        let (score, components) = metrics.map_or((None, None), |raw| (raw.composite_score, raw.components));
        ranked.push(Candidate {
            rank: ranking.rank,
            score: score.or(ranking.score),
            components: components.or(ranking.components),
            ruled_out: None,
            id: ranking.provider_id,
        });
    }
    for (id, ProviderMetrics { composite_score, components, .. }) in known {
        ranked.push(Candidate { rank: None, score: composite_score, components, ruled_out: None, id });
    }
    for candidate in &mut ranked {
        candidate.ruled_out = ruled_out.get(&candidate.id).cloned();
        candidate.rank = candidate.rank.filter(|_| candidate.ruled_out.is_none());
    }
    // Where the ranking was put together from the scores, those that were ruled out are in its midst.
    ranked.sort_by_key(|candidate| candidate.ruled_out.is_some());
    for (rank, candidate) in (1..).zip(ranked.iter_mut().filter(|candidate| candidate.rank.is_some())) {
        candidate.rank = Some(rank);
    }
    ranked
}

/// What all providers are explained with.
struct View<'a> {
    recommended: &'a str,
    weights: &'a IndexMap<String, f64>,
    model: Option<&'a Model>,
}

impl View<'_> {
    fn composite(&self, provider: &Candidate) -> Option<f64> {
        match self.model.and_then(|model| model.score_of(&provider.id)) {
            Some(score) => Some(score.composite),
            None => provider.score,
        }
    }

    fn explain(&self, provider: &Candidate, best: Option<f64>, is_looked_into: bool) -> Explained {
        let composite = self.composite(provider);
        let components = self.contributions(provider);
        let to_win = (provider.id != self.recommended).then(|| {
            let gap = best.zip(composite).map(|(best, own)| best - own);
            let changes = match (is_looked_into && provider.ruled_out.is_none(), self.model) {
                (false, _) => Vec::new(),
                (true, Some(model)) => model.changes(&provider.id),
                (true, None) => gap.map(|gap| by_components(&components, gap)).unwrap_or_default(),
            };
            ToWin { gap, changes }
        });
        Explained {
            provider_id: provider.id.clone(),
            rank: provider.rank,
            composite,
            components,
            ruled_out: provider.ruled_out.clone(),
            to_win,
        }
    }

    fn contributions(&self, provider: &Candidate) -> Vec<Contribution> {
        let exact = self.model.and_then(|model| model.score_of(&provider.id));
        let sent = provider.components.as_ref();
        let known = Figure::ALL.into_iter().map(|figure| {
            let value = match exact {
                Some(score) => Some(figure.of(&score.components)),
                None => sent.and_then(|sent| figure.of_components(sent)),
            };
            (figure.component(), value)
        });
        let others = self.weights.keys().map(String::as_str);
        let others = others.filter(|name| Figure::ALL.iter().all(|figure| figure.component() != *name));
        let others = others.map(|name| (name, sent.and_then(|sent| sent.extra.get(name)?.parse().ok())));
        known
            .chain(others)
            .map(|(name, value)| {
                let weight = self.weights.get(name).copied();
                Contribution {
                    component: name.to_owned(),
                    weight,
                    value,
                    contribution: weight.zip(value).map(|(weight, value)| weight * value),
                }
            })
            .collect()
    }
}

/// What each component would have to be if the others stayed and no other provider moved. All that can be said where only the
/// rounded scores are known; nothing where by these the provider does not lose.
fn by_components(components: &[Contribution], gap: f64) -> Vec<Change> {
    const STEPS: f64 = 1e4;
    if gap.is_nan() || gap <= 0.0 {
        return Vec::new();
    }
    let change = |part: &Contribution| {
        let (weight, value) = (part.weight?, part.value?);
        let mut needed = (((value + gap / weight) * STEPS).ceil() / STEPS).max(0.0);
        if needed <= value {
            needed = ((value * STEPS).floor() + 1.0) / STEPS;
        }
        let is_reachable = weight > 0.0 && needed.is_finite() && needed <= 1.0;
        Some(Change {
            component: part.component.clone(),
            is_reachable,
            needed: is_reachable.then_some(needed),
            change: is_reachable.then_some(needed - value),
            metric: None,
            metric_now: None,
            metric_needed: None,
        })
    };
    components.iter().filter_map(change).collect()
}

/// A provider's figure, and the component that it counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Success,
    Latency,
    Cost,
    Reliability,
}

/// One value for each of the figures.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Four {
    success: f64,
    latency: f64,
    cost: f64,
    reliability: f64,
}

impl Figure {
    /// In the order in which they are added up: the sum of doubles depends on it.
    const ALL: [Self; 4] = [Self::Success, Self::Latency, Self::Cost, Self::Reliability];

    fn component(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Latency => "latency",
            Self::Cost => "cost",
            Self::Reliability => "reliability",
        }
    }

    fn metric(self) -> &'static str {
        match self {
            Self::Success => "success_rate_last_24h",
            Self::Latency => "p99_latency_ms",
            Self::Cost => "cost_per_1m_dims_usd",
            Self::Reliability => "win_rate",
        }
    }

    fn of(self, four: &Four) -> f64 {
        match self {
            Self::Success => four.success,
            Self::Latency => four.latency,
            Self::Cost => four.cost,
            Self::Reliability => four.reliability,
        }
    }

    fn of_mut(self, four: &mut Four) -> &mut f64 {
        match self {
            Self::Success => &mut four.success,
            Self::Latency => &mut four.latency,
            Self::Cost => &mut four.cost,
            Self::Reliability => &mut four.reliability,
        }
    }

    fn of_components(self, sent: &Components) -> Option<f64> {
        match self {
            Self::Success => sent.success,
            Self::Latency => sent.latency,
            Self::Cost => sent.cost,
            Self::Reliability => sent.reliability,
        }
    }

    /// The best that it can be.
    fn best(self) -> f64 {
        match self {
            Self::Success | Self::Reliability => 1.0,
            Self::Latency | Self::Cost => 0.0,
        }
    }

    /// How many decimals a person wants of it.
    fn decimals(self) -> i32 {
        match self {
            Self::Latency => 2,
            Self::Success | Self::Cost | Self::Reliability => 4,
        }
    }
}

/// The server's arithmetic with the figures of one answer. There is one only where it gives the scores that were sent.
struct Model {
    ids: IndexMap<String, ()>,
    /// In the catalog's order: of two equal scores the earlier wins.
    figures: Vec<Four>,
    is_ruled_out: Vec<bool>,
    weights: Four,
    /// Infinite where there is none.
    budget_usd: f64,
    latency_target_ms: f64,
    scores: Vec<Score>,
}

#[derive(Clone, Copy, Debug)]
struct Score {
    components: Four,
    composite: f64,
}

impl Model {
    fn of(raw: &RawMetrics, recommended: &str, ruled_out: &IndexMap<String, Vec<String>>) -> Option<Self> {
        let weight = |figure: Figure| raw.weights.get(figure.component()).copied();
        let figures = |provider: &ProviderMetrics| {
            let four = Four {
                success: provider.success_rate_last_24h?,
                latency: provider.p99_latency_ms?,
                cost: provider.cost_per_1m_dims_usd?.to_f64(),
                reliability: provider.win_rate?,
            };
            Figure::ALL.iter().all(|figure| figure.of(&four).is_finite()).then_some(four)
        };
        let mut model = Self {
            ids: raw.all_providers.keys().map(|id| (id.clone(), ())).collect(),
            figures: raw.all_providers.values().map(figures).collect::<Option<_>>()?,
            is_ruled_out: raw.all_providers.keys().map(|id| ruled_out.contains_key(id)).collect(),
            weights: Four {
                success: weight(Figure::Success)?,
                latency: weight(Figure::Latency)?,
                cost: weight(Figure::Cost)?,
                reliability: weight(Figure::Reliability)?,
            },
            // An infinite one comes as null.
            budget_usd: raw.budget_usd.map_or(f64::INFINITY, crate::money::Usd::to_f64),
            latency_target_ms: raw.latency_target_ms.unwrap_or(f64::INFINITY),
            scores: Vec::new(),
        };
        model.scores = model.score(&model.figures);
        let is_as_sent = raw.all_providers.values().zip(&model.scores).all(|(sent, score)| {
            let agrees = |sent: f64, made: f64| (sent - made).abs() <= ROUNDING;
            let components = sent.components.as_ref();
            sent.composite_score.is_some_and(|sent| agrees(sent, score.composite))
                && Figure::ALL.into_iter().all(|figure| {
                    let sent = components.and_then(|components| figure.of_components(components));
                    sent.is_none_or(|sent| agrees(sent, figure.of(&score.components)))
                })
        });
        let wins = model.winner(&model.scores) == model.ids.get_index_of(recommended);
        (is_as_sent && wins && !model.figures.is_empty()).then_some(model)
    }

    fn score_of(&self, id: &str) -> Option<&Score> {
        self.scores.get(self.ids.get_index_of(id)?)
    }

    /// The scores of providers with these figures.
    fn score(&self, figures: &[Four]) -> Vec<Score> {
        let latencies = Span::of(figures.iter().map(|four| four.latency));
        let costs = Span::of(figures.iter().map(|four| four.cost));
        let weights = &self.weights;
        let score = |four: &Four| {
            let components = Four {
                success: four.success,
                latency: latencies.lower_is_better(four.latency)
                    * penalty(four.latency, 3.0, self.latency_target_ms, 0.9),
                cost: costs.lower_is_better(four.cost) * penalty(four.cost, 50.0, self.budget_usd, 0.85),
                reliability: four.reliability,
            };
            let composite = weights.success * components.success
                + weights.latency * components.latency
                + weights.cost * components.cost
                + weights.reliability * components.reliability;
            Score { components, composite }
        };
        figures.iter().map(score).collect()
    }

    /// Whose score is best, of those within the limits.
    fn winner(&self, scores: &[Score]) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        for (place, (score, is_out)) in scores.iter().zip(&self.is_ruled_out).enumerate() {
            if !is_out && best.is_none_or(|(_, best)| score.composite > best) {
                best = Some((place, score.composite));
            }
        }
        best.map(|(place, _)| place)
    }

    fn changes(&self, id: &str) -> Vec<Change> {
        let Some(place) = self.ids.get_index_of(id) else { return Vec::new() };
        Figure::ALL.into_iter().filter_map(|figure| self.change(place, figure)).collect()
    }

    fn change(&self, place: usize, figure: Figure) -> Option<Change> {
        let metric_now = figure.of(self.figures.get(place)?);
        let now = figure.of(&self.scores.get(place)?.components);
        let needed = self.needed(place, figure, metric_now);
        let component = needed.and_then(|value| {
            let scores = self.score(&self.with(place, figure, value));
            Some(figure.of(&scores.get(place)?.components))
        });
        Some(Change {
            component: figure.component().to_owned(),
            is_reachable: needed.is_some(),
            needed: component,
            change: component.map(|needed| needed - now),
            metric: Some(figure.metric()),
            metric_now: Some(metric_now),
            metric_needed: needed,
        })
    }

    /// The figure with which this provider just wins, if nothing else changes; `None` where none does.
    ///
    /// A better figure never does it harm: its own component rises or stays, those of the others fall or stay. So there is
    /// one value up to which it loses and from which on it wins.
    fn needed(&self, place: usize, figure: Figure, now: f64) -> Option<f64> {
        let best = figure.best();
        let wins = |value: f64| self.winner(&self.score(&self.with(place, figure, value))) == Some(place);
        let is_better = |value: f64| if best > 0.5 { value > now } else { value < now };
        if !is_better(best) || !wins(best) {
            return None;
        }
        let (mut loses_with, mut wins_with) = (now, best);
        loop {
            let between = loses_with + (wins_with - loses_with) / 2.0;
            if between == loses_with || between == wins_with {
                break;
            }
            if wins(between) { wins_with = between } else { loses_with = between }
        }
        // As few decimals as do, but no more than a person reads.
        let rounded = (figure.decimals()..=12).map(|decimals| {
            let scale = 10_f64.powi(decimals);
            let scaled = wins_with * scale;
            if best > 0.5 { (scaled.ceil() / scale).min(best) } else { (scaled.floor() / scale).max(best) }
        });
        // One that is rounded to the best there is, or to what it has now, says less than one more decimal does.
        let mut rounded = rounded.filter(|value| *value != best || wins_with == best);
        Some(rounded.find(|value| is_better(*value) && wins(*value)).unwrap_or(wins_with))
    }

    fn with(&self, place: usize, figure: Figure, value: f64) -> Vec<Four> {
        let mut figures = self.figures.clone();
        if let Some(four) = figures.get_mut(place) {
            *figure.of_mut(four) = value;
        }
        figures
    }
}

/// `factor` for a value beyond `times` the limit, else 1. A limit of 0 is no limit.
fn penalty(value: f64, times: f64, limit: f64, factor: f64) -> f64 {
    if limit > 0.0 && value > times * limit { factor } else { 1.0 }
}

/// The range of one figure over all providers.
struct Span {
    min: f64,
    max: f64,
}

impl Span {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let start = Self { min: f64::INFINITY, max: f64::NEG_INFINITY };
        values.fold(start, |span, value| Self { min: span.min.min(value), max: span.max.max(value) })
    }

    fn lower_is_better(&self, value: f64) -> f64 {
        if self.max > self.min { (self.max - value) / (self.max - self.min) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(json: &str) -> Explanation {
        serde_json::from_str::<Route>(json).unwrap().explain()
    }

    #[test]
    fn an_answer_that_says_nothing_of_its_scores_is_explained_by_what_is_missing() {
        let explanation = explained(r#"{"recommended":"qdrant","why":"because"}"#);
        assert_eq!(explanation.why.as_deref(), Some("because"));
        assert!(!explanation.is_exact && explanation.providers.is_empty());
        let missing = explanation.missing.join("; ");
        assert!(missing.contains("`raw_metrics`") && missing.contains("any provider"), "{missing}");
    }

    #[test]
    fn scores_that_are_made_otherwise_are_explained_by_their_components_alone() {
        let explanation = explained(
            r#"{"recommended":"a","raw_metrics":{"weights":{"success":0.5,"latency":0.25,"magic":0.25},"all_providers":{
                "a":{"composite_score":0.9,"components":{"success":0.9,"latency":0.9,"magic":0.9}},
                "b":{"composite_score":0.8,"components":{"success":0.9,"latency":0.5,"magic":0.9}},
                "c":{"composite_score":0.1,"components":{"success":0.2,"latency":0,"magic":0}}}}}"#,
        );
        assert!(!explanation.is_exact);
        let b = &explanation.providers[1];
        let contributions: Vec<_> = b.components.iter().map(|part| part.contribution).collect();
        assert_eq!(contributions, [Some(0.45), Some(0.125), None, None, Some(0.225)]);
        let latency = &b.to_win.as_ref().unwrap().changes[1];
        assert!(latency.is_reachable && latency.metric_needed.is_none(), "{latency:?}");
        assert!((latency.needed.unwrap() - 0.9).abs() < 0.001, "{latency:?}");
        let c = explanation.providers[2].to_win.as_ref().unwrap();
        assert!(c.changes.iter().all(|change| !change.is_reachable && change.needed.is_none()), "{c:?}");
    }

    #[test]
    fn what_does_not_lose_by_the_scores_is_told_nothing_that_it_would_need() {
        let explanation = explained(
            r#"{"recommended":"a","raw_metrics":{"weights":{"success":0.5,"latency":0.5,"odd":-1},"all_providers":{
                "b":{"composite_score":0.9,"components":{"success":0.9,"latency":0.9}},
                "a":{"composite_score":0.8,"components":{"success":0.8,"latency":0.8}},
                "c":{"composite_score":0.8,"components":{"success":0.8,"latency":0.8}},
                "d":{"composite_score":0.79999,"components":{"success":1.5,"latency":-3,"odd":0.1}}}}}"#,
        );
        assert!(!explanation.is_exact);
        let to_win = |id: &str| {
            let found = explanation.providers.iter().find(|provider| provider.provider_id == id);
            found.unwrap().to_win.clone().unwrap()
        };
        for id in ["b", "c"] {
            assert!(to_win(id).gap.unwrap() <= 0.0 && to_win(id).changes.is_empty(), "{:?}", to_win(id));
        }
        let missing = explanation.missing.join("; ");
        assert!(
            missing.contains("why `a` was recommended and not `b`: the scores that were sent do not"),
            "{missing}"
        );
        let [success, latency, odd] = &*to_win("d").changes else { panic!("{:?}", to_win("d")) };
        assert!(!success.is_reachable && !odd.is_reachable, "{success:?} {odd:?}");
        assert_eq!((latency.needed, latency.change), (Some(0.0), Some(3.0)));
    }

    #[test]
    fn what_would_be_needed_is_more_than_what_there_is() {
        for (value, gap) in [(0.9, 1e-18), (0.123_45, 1e-9), (0.0, 1e-300), (0.5, 0.25)] {
            let part = Contribution {
                component: "x".to_owned(),
                weight: Some(1.0),
                value: Some(value),
                contribution: None,
            };
            let changes = by_components(&[part], gap);
            let change = changes.first().unwrap();
            assert!(change.needed.unwrap() > value && change.change.unwrap() > 0.0, "{change:?}");
        }
    }

    #[test]
    fn what_was_ruled_out_comes_last_and_is_not_told_what_it_would_need() {
        let explanation = explained(
            r#"{"recommended":"b","filtered_out":[{"provider_id":"a","reasons":["too dear"]}],"raw_metrics":{"all_providers":{
                "a":{"composite_score":0.9},"b":{"composite_score":0.8},"c":{"composite_score":0.7}}}}"#,
        );
        let places: Vec<_> =
            explanation.providers.iter().map(|place| (place.provider_id.as_str(), place.rank)).collect();
        assert_eq!(places, [("b", Some(1)), ("c", Some(2)), ("a", None)]);
        let last = explanation.providers.last().unwrap();
        assert_eq!(last.ruled_out.as_deref(), Some(&["too dear".to_owned()][..]));
        let to_win = last.to_win.as_ref().unwrap();
        assert!(to_win.changes.is_empty() && to_win.gap.is_some_and(|gap| gap < 0.0));
    }
}
