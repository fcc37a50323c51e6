//! Which numbers there are.

use super::{Number, Statistic, Tracer};
use crate::backend::Backend;
use crate::config::NormKind;
use crate::probe::{Part, Site};
use crate::{Error, Result};

impl<B: Backend> Tracer<'_, B> {
    pub(super) fn check(&self, number: &Number) -> Result<()> {
        let within = |what: &str, asked: usize, most: usize| match asked < most {
            true => Ok(()),
            false => {
                let why = format!("{what} {asked} is not among its {most}, counted from 0");
                Err(Error::invalid_argument(number.name(self.config()), why))
            }
        };
        let (config, keys) = (self.config(), self.ids.len());
        match *number {
            Number::At { site, position, head, index } => {
                self.check_site(site)?;
                within("position", position, keys)?;
                let of_head = site.is_square() || matches!(site, Site::Block(_, Part::Contribution));
                within("head", head, if of_head { config.heads.query } else { 1 })?;
                let cols = match site {
                    Site::Block(_, Part::Contribution) => config.width,
                    _ => site.cols(config, keys),
                };
                within(if site.is_square() { "key" } else { "column" }, index, cols)
            }
            Number::Statistic { of, site, position, head } => {
                self.check_site(site)?;
                within("position", position, keys)?;
                let heads = if site.is_square() { config.heads.query } else { self.normed_apart(site) };
                within("head", head, heads)?;
                self.check_statistic(of, site)
            }
            Number::Probability { token, position } => {
                within("position", position, keys)?;
                within("token", token as usize, config.vocabulary)
            }
            Number::Weight { ref parameter, row, column } => {
                let Some(spec) = self.plan.specs.iter().find(|spec| spec.name == *parameter) else {
                    let why = format!("the model has no parameter {parameter:?}");
                    return Err(Error::invalid_argument("weight", why));
                };
                within("row", row, spec.rows)?;
                within("column", column, spec.cols)
            }
        }
    }

    fn check_site(&self, site: Site) -> Result<()> {
        let layers = self.config().layers;
        match site {
            Site::Block(layer, _) if layer >= layers => {
                let why = format!("no such site; the model's blocks are counted from 0 to {}", layers - 1);
                Err(Error::invalid_argument(site, why))
            }
            _ if !site.is_in(self.config()) => {
                Err(Error::invalid_argument(site, "this model does not have it"))
            }
            _ => Ok(()),
        }
    }

    fn check_statistic(&self, of: Statistic, site: Site) -> Result<()> {
        let refused = |why: &str| Err(Error::invalid_argument(site, why));
        match (of, self.norm(site).map(|_| self.config().norm.kind)) {
            (Statistic::Largest | Statistic::Sum, None)
                if matches!(site, Site::Logits | Site::Block(_, Part::Pattern)) =>
            {
                Ok(())
            }
            (Statistic::Mean | Statistic::Variance | Statistic::InverseDeviation, Some(NormKind::Layer))
            | (Statistic::MeanSquare | Statistic::InverseDeviation, Some(NormKind::Rms)) => Ok(()),
            (_, Some(NormKind::Layer)) => {
                refused("a LayerNorm has a mean, a variance and an inverse deviation")
            }
            (_, Some(NormKind::Rms)) => refused("an RMSNorm has a mean square and an inverse of its root"),
            (_, None) => refused(
                "what a norm gives has statistics of its input; a pattern and the logits have a largest number and a sum",
            ),
        }
    }
}
