//! `--teacher`: the model that is learned from.

use std::sync::Arc;

use glass::Config;
use glass::backend::Cpu;
use glass::model::Gpt;
use glass::tokens::Tokenizer;
use glass::train::learner::Learner;
use glass::weights::Frozen;

use super::subject::Subject;
use crate::fail::Fail;

/// The model that is learned from.
pub struct Teacher {
    config: Config,
    weights: Arc<Frozen<Cpu>>,
}

impl Teacher {
    /// Reads the teacher of a subject, if it has one.
    pub fn open(subject: &Subject, cpu: &Cpu) -> Result<Option<Teacher>, Fail> {
        let Some(folder) = &subject.teacher else { return Ok(None) };
        let config = folder.config().clone();
        if let (Some(own), Some(other)) = (&subject.tokenizer, folder.tokenizer()?)
            && let Some(id) = differing(own, &other, config.vocabulary.min(subject.config.vocabulary))
        {
            return Err(Fail::asked(format!(
                "--teacher: its token {id} is {}, but the model's is {}; take a teacher with the same vocabulary",
                shown(&other, id),
                shown(own, id)
            )));
        }
        let (_, plan) = Gpt::plan(&config);
        folder.check(&plan)?;
        Ok(Some(Teacher { weights: Arc::new(Frozen::open(cpu, &plan, folder)?), config }))
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Lets it teach a learner of batches of this size, which keeps what it said in so many bytes.
    pub fn teach(
        &self,
        learner: Learner<Cpu>,
        rows: usize,
        samples: usize,
        kept: usize,
    ) -> Result<Learner<Cpu>, Fail> {
        let (gpt, _) = Gpt::plan(&self.config);
        Ok(learner.taught_by(gpt, self.weights.clone(), rows, samples)?.keeping_lessons(kept))
    }
}

/// The first token in which two vocabularies differ.
fn differing(own: &Tokenizer, other: &Tokenizer, tokens: usize) -> Option<u32> {
    (0..tokens as u32).find(|&id| own.token(id) != other.token(id))
}

fn shown(tokenizer: &Tokenizer, id: u32) -> String {
    tokenizer.token(id).map_or("none".into(), |bytes| format!("{:?}", String::from_utf8_lossy(bytes)))
}
