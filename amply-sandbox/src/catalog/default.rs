//! The catalog that release 3.1.12 falls back to. Typed, so that it cannot fail to load.

use serde_json::value::RawValue;

use super::{Catalog, NO_BACKEND, ORGANIC, Provider, SEED, disclosure_of};

impl Default for Catalog {
    fn default() -> Self {
        Catalog {
            providers: ROWS.iter().map(Row::provider).collect(),
            source: SEED.to_owned(),
            backend: NO_BACKEND.to_owned(),
            freshness: RawValue::NULL.to_owned(),
        }
    }
}

struct Row {
    id: &'static str,
    name: &'static str,
    p99_ms: f64,
    usd_per_1m: f64,
    success_24h: f64,
    success_7d: f64,
    wins: f64,
    captured_usd: f64,
    missed_usd: Option<f64>,
}

const ROWS: [Row; 5] = [
    Row {
        id: "qdrant",
        name: "Qdrant",
        p99_ms: 14.0,
        usd_per_1m: 0.19,
        success_24h: 0.982,
        success_7d: 0.971,
        wins: 0.44,
        captured_usd: 94_500.0,
        missed_usd: None,
    },
    Row {
        id: "pinecone",
        name: "Pinecone",
        p99_ms: 28.0,
        usd_per_1m: 0.42,
        success_24h: 0.941,
        success_7d: 0.935,
        wins: 0.29,
        captured_usd: 62_300.0,
        missed_usd: Some(71_200.0),
    },
    Row {
        id: "weaviate",
        name: "Weaviate",
        p99_ms: 35.0,
        usd_per_1m: 0.31,
        success_24h: 0.967,
        success_7d: 0.96,
        wins: 0.17,
        captured_usd: 36_500.0,
        missed_usd: Some(112_400.0),
    },
    Row {
        id: "chroma",
        name: "Chroma",
        p99_ms: 62.0,
        usd_per_1m: 0.12,
        success_24h: 0.894,
        success_7d: 0.885,
        wins: 0.08,
        captured_usd: 17_200.0,
        missed_usd: Some(89_000.0),
    },
    Row {
        id: "supabase",
        name: "Supabase",
        p99_ms: 81.0,
        usd_per_1m: 0.25,
        success_24h: 0.923,
        success_7d: 0.915,
        wins: 0.02,
        captured_usd: 4_300.0,
        missed_usd: Some(41_000.0),
    },
];

impl Row {
    fn provider(&self) -> Provider {
        Provider {
            id: self.id.to_owned(),
            display_name: self.name.to_owned(),
            p99_latency_ms: self.p99_ms,
            cost_per_1m_dims_usd: self.usd_per_1m,
            success_rate_last_24h: self.success_24h,
            success_rate_last_7d: self.success_7d,
            win_rate: self.wins,
            revenue_captured_usd: Some(self.captured_usd),
            missed_opportunity_usd: self.missed_usd,
            listing: ORGANIC.to_owned(),
            placement_disclosure: disclosure_of(ORGANIC).to_owned(),
        }
    }
}
