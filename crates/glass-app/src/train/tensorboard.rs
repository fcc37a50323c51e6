//! The run in TensorBoard's format: `DIR/train/events.out.tfevents.….glass`, next to `log.jsonl` and with the same
//! names.

mod event;
mod record;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use glass::train::log::LoggedStep;

use event::Event;

/// An event file, open for appending.
pub struct Events {
    file: File,
}

impl Events {
    /// Opens the events of a run at step `step` in `folder`: events of later steps and incomplete ones are cut off.
    pub fn open(folder: &Path, step: u64) -> io::Result<Events> {
        let path = match known(folder)? {
            Some(path) => path,
            None => folder.join(format!("events.out.tfevents.{}.glass", now() as u64)),
        };
        let file = File::options().create(true).append(true).read(true).open(path)?;
        let end = record::read(&file, |data| event::step(data).is_some_and(|at| at <= step))?;
        file.set_len(end)?;
        let mut events = Events { file };
        if end == 0 {
            events.add(&Event::first(now()))?;
        }
        Ok(events)
    }

    /// Adds the numbers of a step.
    pub fn step(&mut self, line: &LoggedStep) -> io::Result<()> {
        let mut event = Event::new(now(), line.step);
        event.scalar("loss", line.loss);
        event.scalar("lr", line.lr.into());
        event.scalar("grad_norm", line.grad_norm);
        let measured = [
            ("accuracy", line.details.accuracy),
            ("margin", line.details.margin),
            ("cross_entropy", line.details.cross_entropy),
            ("divergence", line.details.divergence),
            ("val_loss", line.val_loss),
            ("val_accuracy", line.val_accuracy),
            ("bits_per_byte", line.bits_per_byte),
            ("tokens_per_second", line.tokens_per_second),
            ("mfu", line.mfu),
        ];
        measured
            .into_iter()
            .for_each(|(tag, value)| value.into_iter().for_each(|value| event.scalar(tag, value)));
        self.add(&event)
    }

    /// Adds the sample generated after a step.
    pub fn sample(&mut self, step: u64, text: &str) -> io::Result<()> {
        let mut event = Event::new(now(), step);
        event.text("sample", text);
        self.add(&event)
    }

    /// Syncs the file to disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn add(&mut self, event: &Event) -> io::Result<()> {
        self.file.write_all(&record::frame(&event.bytes()))
    }
}

/// The run's event file, if it has one.
fn known(folder: &Path) -> io::Result<Option<PathBuf>> {
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("events.out.tfevents.") && name.ends_with(".glass")
    };
    let paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(ours).max())
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use glass::train::objective::Details;

    use super::*;

    fn line(step: u64) -> LoggedStep {
        LoggedStep {
            step,
            loss: 2.5,
            details: Details::default(),
            val_loss: None,
            val_accuracy: None,
            bits_per_byte: None,
            val_losses: Default::default(),
            lr: 1e-3,
            grad_norm: 1.0,
            tokens_per_second: None,
            mfu: None,
            tokens: 1,
            seconds: None,
        }
    }

    /// The steps in the only event file of `folder`.
    fn steps(folder: &Path) -> Vec<u64> {
        let mut steps = Vec::new();
        let file = File::open(known(folder).unwrap().unwrap()).unwrap();
        record::read(&file, |data| {
            steps.extend(event::step(data));
            true
        })
        .unwrap();
        steps
    }

    #[test]
    fn a_resumed_run_goes_on_after_its_checkpoint() {
        let folder = std::env::temp_dir().join(format!("glass-events-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut events = Events::open(&folder, 0).unwrap();
        (1..=5).for_each(|step| events.step(&line(step)).unwrap());
        events.sample(5, "Once").unwrap();
        events.file.write_all(b"half a record").unwrap();
        let mut events = Events::open(&folder, 3).unwrap();
        assert_eq!(steps(&folder), [0, 1, 2, 3]);
        (4..=5).for_each(|step| events.step(&line(step)).unwrap());
        assert_eq!(steps(&folder), [0, 1, 2, 3, 4, 5]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
