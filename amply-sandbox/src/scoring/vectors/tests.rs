use super::count;

fn check(rows: &[(&str, f64)]) {
    for (task, vectors) in rows {
        assert_eq!(count(task), *vectors, "{task:?}");
    }
}

const DEFAULT: f64 = 100_000.0;

#[test]
fn the_table_of_seen_tasks_is_counted_as_seen() {
    check(&[
        ("100k", 100_000.0),
        ("100 K", 100_000.0),
        ("20000 vectors", 20_000.0),
        ("5 million", 5e6),
        ("5M", 5e6),
        ("5 m", 5e6),
        ("20,000 vectors", DEFAULT),
        ("2.5M", 5e6),
        ("2.5 million", 5e6),
        ("200,000 vectors", DEFAULT),
        ("12.50M", 50e6),
        ("store 20,000 vectors", 20_000.0),
        ("2,5M", 5e6),
        ("store 200,000", 200_000.0),
        ("1,500M", 1.5e9),
        ("20 000 vectors", DEFAULT),
        ("1,2k", 2_000.0),
        ("20000 docs", DEFAULT),
        ("1,0077k", 77_000.0),
        ("500 vectors", DEFAULT),
        ("999 vectors", DEFAULT),
        ("1B", DEFAULT),
        ("1 billion", DEFAULT),
        ("1bn", DEFAULT),
        ("store 500", 1_000.0),
        ("store 1", 1_000.0),
        ("100 thousand", DEFAULT),
        ("5-10M vectors", 10e6),
        ("5k-10k", 5_000.0),
        ("store 600 of 5000 vectors", 5_000.0),
    ]);
}

#[test]
fn thousands_are_a_grouped_number_and_a_k_that_ends_there() {
    check(&[
        ("x77k", 77_000.0),
        ("-5k", 5_000.0),
        ("~5k", 5_000.0),
        ("_5k", 5_000.0),
        (",5k", 5_000.0),
        ("1_000k", 1_000.0),
        ("1.2.3k", 3_000.0),
        ("1,200k", 1_200_000.0),
        ("1,,200k", 200_000.0),
        ("1,200,3k", 3_000.0),
        ("5\u{3000}\u{feff} k", 5_000.0),
        ("5\u{85}k", DEFAULT),
        ("5\u{200b}k", DEFAULT),
        ("77kb", DEFAULT),
        ("77k2", DEFAULT),
        ("77k_", DEFAULT),
        ("77ké", 77_000.0),
        ("77kß", 77_000.0),
        ("77k数", 77_000.0),
        ("77k🚀", 77_000.0),
        ("77k, 77k-", 77_000.0),
        ("77\u{212a}", 77_000.0),
        ("７７k", DEFAULT),
        ("٧k", DEFAULT),
        ("0k", 1_000.0),
        ("77kb 5k", 5_000.0),
    ]);
}

#[test]
fn millions_are_tried_after_thousands() {
    check(&[
        ("1m 2k", 2_000.0),
        ("5m 6 million", 5e6),
        ("6 million 5m", 6e6),
        ("10 ms", DEFAULT),
        ("5mb", DEFAULT),
        ("77mm", DEFAULT),
        ("77 millions", DEFAULT),
        ("77millionen", DEFAULT),
        ("5-million", DEFAULT),
        ("77 million-ish", 77e6),
        ("77m/s", 77e6),
        ("77 MİLLİON", DEFAULT),
        ("77 MILLION", 77e6),
        ("1,0077m", 77e6),
    ]);
}

#[test]
fn counted_needs_four_digits_at_the_start_of_a_word_and_the_noun() {
    check(&[
        ("5000 vectors 4k", 4_000.0),
        ("é5000 vectors", 5_000.0),
        ("1.5000 vectors", 5_000.0),
        ("x5000 vectors", DEFAULT),
        ("_5000 vectors", DEFAULT),
        ("5000 vectorsx", 5_000.0),
        ("5000pointers", 5_000.0),
        ("5000\n\tEmbeddings", 5_000.0),
        ("5000-vectors", DEFAULT),
        ("1,000,000 vectors", DEFAULT),
        ("20,0000 vectors", 1_000.0),
        ("1536-dim vectors", DEFAULT),
        ("1536 dim 4000 points", 4_000.0),
        ("0500 vectors", 1_000.0),
    ]);
}

#[test]
fn stored_takes_the_longest_reading_that_ends_cleanly() {
    check(&[
        ("restore 2000", 2_000.0),
        ("datastore 2000", 2_000.0),
        ("stores 2000", DEFAULT),
        ("storing 2000", DEFAULT),
        ("store: 2000", DEFAULT),
        ("store2000", DEFAULT),
        ("store about 2000", DEFAULT),
        ("store ~2000", DEFAULT),
        ("store 20,5000", 1_000.0),
        ("store 2000,5000", 2_000.0),
        ("store 1,234,56", 1_234.0),
        ("store 1,234x", 1_000.0),
        ("store 7000,234x", 7_000.0),
        ("store 1,234,567x", 1_234.0),
        ("store 20.000", 1_000.0),
        ("store 20000.5", 20_000.0),
        ("store 20000x", DEFAULT),
        ("store 20000x, store\n30000", 30_000.0),
        ("store 20000é", 20_000.0),
        ("store store 3000", 3_000.0),
        ("STORE 1,000,000 rows", 1e6),
    ]);
}

#[test]
fn there_is_no_upper_limit_and_the_count_is_a_double() {
    check(&[
        ("store 9007199254740993", 9_007_199_254_740_992.0),
        ("99999999999999999999k", 1e23),
        ("", DEFAULT),
    ]);
    assert_eq!(count(&format!("{}k", "9".repeat(400))), f64::INFINITY);
}

#[test]
fn the_longest_tasks_are_read_in_one_pass() {
    // With a scan that starts anew at each digit, these would take 8,000 times 8,000 steps, a few thousand times over.
    for task in [
        "1,111".repeat(1600),
        "1".repeat(8000),
        "1,".repeat(4000),
        format!("{}x", "1,111,".repeat(1333)),
        "store ".repeat(1333),
    ] {
        for _ in 0..50 {
            count(&task);
        }
    }
}
