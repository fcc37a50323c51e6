//! Checks that a directory's weights match its configuration, tensor by tensor.

use std::collections::BTreeSet;

use super::checkpoint::Writer;
use super::folder::Folder;
use super::names;
use crate::config::Positions;
use crate::config::object::short;
use crate::families::Family;
use crate::families::names::is_known;
use crate::plan::Plan;
use crate::{Error, Result};

impl Folder {
    /// Refuses a file that does not hold exactly the parameters of `plan`: every tensor must exist with the right
    /// shape, and there must be no unknown tensors.
    pub fn check(&self, plan: &Plan) -> Result<()> {
        if let Some(packings) = self.packings() {
            return self.check_packed(plan, packings);
        }
        let mut used = BTreeSet::new();
        for spec in &plan.specs {
            let place = self.place(&spec.name)?;
            self.expect(&place)?;
            used.insert(place.tensor);
        }
        for name in self.tensors.names() {
            if !used.contains(name) {
                self.check_spare(name)?;
            }
        }
        Ok(())
    }

    /// Config and tensors agree on every size, so a plan of this configuration is no larger than the file.
    pub(super) fn check_sizes(&self) -> Result<()> {
        let learned = self.config.positions == Positions::Learned;
        let position = learned.then_some("embedding.position.weight");
        for parameter in ["embedding.token.weight", "block.0.mlp.up.weight"].into_iter().chain(position) {
            self.expect(&self.place(parameter)?)?;
        }
        let last = self.tensors.names().filter_map(names::layer).max();
        let found = last.map_or(0, |last| last.saturating_add(1));
        match found == self.config.layers {
            true => Ok(()),
            false => {
                let blocks = if found == 1 { "block" } else { "blocks" };
                let why = format!(
                    "{} is {}, but the weights have {found} {blocks}",
                    self.layers_field(),
                    self.config.layers
                );
                Err(Error::invalid(self.shape_name(), why))
            }
        }
    }

    /// What its files call the number of blocks.
    pub(super) fn layers_field(&self) -> &'static str {
        match (self.writer, self.config.family) {
            (Writer::Gguf, _) => "block_count",
            (_, Family::Gpt2 | Family::GptJ) => "n_layer",
            (_, Family::GptNeo) => "num_layers",
            (_, Family::Glass) => "layers",
            _ => "num_hidden_layers",
        }
    }

    /// Checks a tensor that is not part of any parameter: it may be a mask, another head, zeros in place of absent
    /// biases, or a copy of the tied unembedding.
    fn check_spare(&self, name: &str) -> Result<()> {
        let Some(found) = self.tensors.get(name) else { return Ok(()) };
        let wrong = |why: &str| Err(Error::invalid(found.file, format!("tensor {} {why}", short(name))));
        if names::is_constant(name) && !self.is_parameter(name)
            || names::is_other_head(name)
            || names::is_for_pictures(name)
        {
            return Ok(());
        }
        let [embedding, unembedding] =
            ["embedding.token.weight", "unembedding.weight"].map(|name| Ok(self.place(name)?.tensor));
        let (embedding, unembedding): (String, String) = (embedding?, unembedding?);
        if name == "lm_head.bias" {
            return match found.bytes.iter().all(|&byte| byte == 0) {
                true => Ok(()),
                false => wrong(&format!("is a bias on the logits, which a {} does not have", self.family())),
            };
        }
        if name == unembedding && self.config.tied {
            return match self.same_numbers(&embedding, &unembedding)? {
                true => Ok(()),
                false => wrong(&format!(
                    "differs from {embedding}, though config.json ties them; set tie_word_embeddings to false \
                     there if it is the unembedding, or remove it",
                )),
            };
        }
        if !self.config.bias.any() && name.ends_with(".bias") && self.is_parameter(name) {
            return match found.bytes.iter().all(|&byte| byte == 0) {
                true => Ok(()),
                false => {
                    wrong(&format!("is not zero, though {} says there are no biases", self.writer.shape()))
                }
            };
        }
        wrong(&format!(
            "is not known in a {} of the shape in {}; are files mixed up?",
            self.family(),
            self.writer.shape()
        ))
    }

    /// Whether the model may have a tensor with this name.
    fn is_parameter(&self, tensor: &str) -> bool {
        is_known(self.names(), tensor)
    }

    fn same_numbers(&self, a: &str, b: &str) -> Result<bool> {
        let (Some(a), Some(b)) = (self.tensors.get(a), self.tensors.get(b)) else { return Ok(false) };
        if a.tensor.shape != b.tensor.shape {
            return Ok(false);
        }
        let (Ok(da), Ok(db)) = (&a.tensor.dtype, &b.tensor.dtype) else { return Ok(false) };
        if da == db {
            return Ok(a.bytes == b.bytes);
        }
        let chunks = a.bytes.chunks(1024 * da.bytes()).zip(b.bytes.chunks(1024 * db.bytes()));
        let (mut x, mut y) = ([0.0; 1024], [0.0; 1024]);
        Ok(chunks.into_iter().all(|(a, b)| {
            let len = a.len() / da.bytes();
            da.widen(&mut x[..len], a);
            db.widen(&mut y[..len], b);
            x[..len].iter().zip(&y[..len]).all(|(x, y)| x.to_bits() == y.to_bits())
        }))
    }
}
