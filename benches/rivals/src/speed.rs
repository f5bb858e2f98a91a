//! The table of times: every engine in this process, in turns.

use crate::{Case, ENGINES, Options, Rival, brief, case, timing};
use std::error::Error;
use std::time::Duration;

/// Is the greatest difference from our first output, relative to its largest number.
const TOLERANCE: f32 = 1e-3;

/// Prints one line for each model: the median time of each engine, and each rival's by ours.
pub(crate) fn compare(names: &[String], options: &Options) -> Result<(), Box<dyn Error>> {
    println!("microseconds per run (median), and how many times ours");
    print!("{:<10}", "model");
    for (i, (engine, _)) in ENGINES.iter().enumerate() {
        print!(" {engine:>12}");
        if i > 0 {
            print!(" {:>7}", "ratio");
        }
    }
    println!(" {:>12}", "wanted");
    for name in names {
        line(name, options)?;
    }
    Ok(())
}

/// Times one model.
fn line(name: &str, options: &Options) -> Result<(), Box<dyn Error>> {
    let case = Case::read(&options.models, name)?;
    let mut rivals: Vec<Option<Box<dyn Rival>>> = Vec::new();
    let mut want: Option<Vec<f32>> = None;
    for (engine, load) in ENGINES {
        let model = case::model(&options.models, name)?;
        let loaded = load(model, &case, options).and_then(|mut rival| {
            let outputs = rival.outputs()?;
            let far = case::difference(&outputs, want.get_or_insert_with(|| outputs.clone()));
            if far > TOLERANCE {
                return Err(format!("its first output differs from ours by {far:e}").into());
            }
            Ok(rival)
        });
        if let Err(error) = &loaded {
            eprintln!("{name}: {engine} is left out: {}", brief(error.as_ref()));
        }
        rivals.push(loaded.ok());
    }
    let mut runs: Vec<&mut dyn Rival> = Vec::new();
    for rival in rivals.iter_mut().flatten() {
        runs.push(rival.as_mut());
    }
    let budget = Duration::from_secs_f64(options.seconds);
    let mut times = timing::interleaved(&mut runs, budget, options.threads)?.into_iter();
    let times: Vec<Option<f64>> = rivals
        .iter()
        .map(|rival| rival.as_ref().and_then(|_| times.next()))
        .collect();
    print!("{name:<10}");
    for (i, time) in times.iter().enumerate() {
        let text = time.map_or("-".to_owned(), |us| format!("{us:.2}"));
        print!(" {text:>12}");
        if i > 0 {
            let ratio = times[0].zip(*time).map(|(ours, theirs)| theirs / ours);
            let text = ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            print!(" {text:>7}");
        }
    }
    let reached = times[0].zip(times[1]).map(|(ours, theirs)| theirs / ours);
    match (case::target(name), reached) {
        (Some(target), Some(ratio)) if options.threads == 1 => {
            let verdict = if ratio >= target { "reached" } else { "missed" };
            println!(" {target:>4.1} {verdict}");
        }
        _ => println!(),
    }
    Ok(())
}
