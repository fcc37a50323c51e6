//! Looking inside requests while they run beside others.

use super::request::{Attribute, LensRow, Seen, SeenRow, Watch};
use crate::backend::{Backend, Span};
use crate::config::Config;
use crate::inspect::{Edits, Inspector, Record, attribute, lens};
use crate::next_token::most_probable;
use crate::probe::{Ahead, Did, Part, Probe, Site, View, Want};
use crate::{Error, Result};

/// Most numbers that one request may record.
const MOST_NUMBERS: usize = 1 << 22;

/// A watched request: what is wanted, and what was seen so far.
pub(super) struct Watched {
    watch: Watch,
    slot: usize,
    edits: Edits,
    /// For the attribution.
    record: Option<Record>,
    /// Residual streams that the lens still has to read: layer, position, vector.
    residuals: Vec<(usize, usize, Vec<f32>)>,
    layers: usize,
    seen: Seen,
}

impl Watch {
    /// Refuses what a sequence of `prompt` ids, and at most `len` with what it continues, does not have.
    pub(super) fn check(&self, config: &Config, prompt: usize, len: usize) -> Result<()> {
        let spans = [Span { rows: 0..len, slot: 0, past: 0 }];
        let ahead = Ahead { config, spans: &spans, first: 0, whole: true, only_last: false };
        self.sites.iter().try_for_each(|&site| ahead.check(site))?;
        let at = &self.positions;
        let looks = !self.sites.is_empty() || self.lens > 0;
        if looks && (at.start >= prompt || at.is_empty()) {
            let why = format!(
                "{}..{} does not begin among the prompt's {prompt} positions, counted from 0, or is empty",
                at.start, at.end
            );
            return Err(Error::invalid_argument("positions", why));
        }
        let rows = at.end.min(len).saturating_sub(at.start);
        let square = |site: Site| if site.is_square() { config.heads.query } else { 1 };
        let numbers = |site: &Site| square(*site).saturating_mul(site.cols(config, len)).saturating_mul(rows);
        let all = self.sites.iter().map(numbers).fold(0, usize::saturating_add);
        if all > MOST_NUMBERS {
            let why =
                format!("{all} numbers; at most {MOST_NUMBERS} are recorded: name fewer sites or positions");
            return Err(Error::invalid_argument("sites", why));
        }
        if let Some(Attribute::Token(id)) = self.attribution.filter(|of| outside(of, config)) {
            let why = format!("{id} is not in the model's vocabulary of {} tokens", config.vocabulary);
            return Err(Error::invalid_argument("token", why));
        }
        if self.lens > config.vocabulary {
            let why = format!("{} tokens of a vocabulary of {}", self.lens, config.vocabulary);
            return Err(Error::invalid_argument("lens", why));
        }
        Edits::new(self.edits.iter().cloned()).begin(&ahead)
    }

    /// The first position that has to be computed for this request alone.
    pub(super) fn first(&self) -> usize {
        let edited = self.edits.iter().map(|edit| edit.positions.as_ref().map_or(0, |at| at.start));
        let seen = if self.sites.is_empty() && self.lens == 0 { usize::MAX } else { self.positions.start };
        let attributed = if self.attribution.is_some() { 0 } else { usize::MAX };
        edited.chain([seen, attributed]).min().unwrap_or(usize::MAX)
    }
}

fn outside(of: &Attribute, config: &Config) -> bool {
    matches!(of, Attribute::Token(id) if *id as usize >= config.vocabulary)
}

impl Watched {
    /// Watches the sequence in a slot, whose prompt has this many ids.
    pub(super) fn new(watch: Watch, slot: usize, prompt: usize, config: &Config) -> Watched {
        let edits = Edits(watch.edits.iter().map(|edit| (slot, edit.clone())).collect());
        // An attribution needs the values of every position, and everything else of the last.
        let last = |site: &Site| !matches!(site, Site::Block(_, Part::Value));
        let sites = attribute::sites(config);
        let record = watch.attribution.map(|_| Record::of(sites).in_slot(slot).since(prompt - 1, last));
        Watched {
            watch,
            slot,
            edits,
            record,
            residuals: Vec::new(),
            layers: config.layers,
            seen: Seen::default(),
        }
    }

    /// Whether it sees or changes something at these positions.
    pub(super) fn concerns(&self, positions: std::ops::Range<usize>) -> bool {
        let meets = |at: &std::ops::Range<usize>| at.start < positions.end && positions.start < at.end;
        let edited = self.watch.edits.iter().any(|edit| edit.positions.as_ref().is_none_or(meets));
        let seen = (!self.watch.sites.is_empty() || self.watch.lens > 0) && meets(&self.watch.positions);
        edited || seen || self.record.is_some()
    }

    /// Where a pass over the prompt should be cut, so that positions that are not seen cost nothing more.
    pub(super) fn cut(&self) -> usize {
        self.watch.positions.start
    }

    /// What the residual streams of the last pass predict.
    pub(super) fn read_lens<B: Backend>(&mut self, inspector: &mut Inspector<'_, B>) -> Result<()> {
        let most = inspector.room().0;
        let waiting = std::mem::take(&mut self.residuals);
        for some in waiting.chunks(most) {
            let vectors: Vec<f32> = some.iter().flat_map(|(_, _, vector)| vector).copied().collect();
            let tops = lens::predict(inspector, &vectors, self.watch.lens)?;
            let row =
                |(of, top): (&(usize, usize, Vec<f32>), _)| LensRow { layer: of.0, position: of.1, top };
            self.seen.lens.extend(some.iter().zip(tops).map(row));
        }
        Ok(())
    }

    /// The prompt was read, and these are the logits after it.
    pub(super) fn attribute<B: Backend>(
        &mut self,
        inspector: &Inspector<'_, B>,
        position: usize,
        logits: &[f32],
    ) -> Result<()> {
        let (Some(record), Some(of)) = (self.record.take(), self.watch.attribution) else { return Ok(()) };
        let token = match of {
            Attribute::Token(id) => id,
            Attribute::Likeliest => most_probable(logits),
        };
        let found = attribute::trace(inspector, &record, position, logits, token, None)?;
        self.seen.attribution = Some((token, found));
        Ok(())
    }

    /// Whether the logits after the prompt are still to be attributed.
    pub(super) fn attributes(&self) -> bool {
        self.record.is_some()
    }

    /// Whether an inspector has something to do.
    pub(super) fn waits(&self, logits: bool) -> bool {
        !self.residuals.is_empty() || logits && self.attributes()
    }

    /// Everything that was seen.
    pub(super) fn finish(self) -> Seen {
        let mut seen = self.seen;
        seen.rows.sort_by_key(|row| (row.site, row.position));
        seen.lens.sort_by_key(|row| (row.position, row.layer));
        seen
    }

    fn lens_layer(&self, site: Site) -> Option<usize> {
        let layer = match site {
            Site::Block(layer, Part::Residual) => layer,
            Site::Residual => self.layers,
            _ => return None,
        };
        (self.watch.lens > 0).then_some(layer)
    }

    fn looks(&self, site: Site) -> bool {
        self.watch.sites.contains(&site)
            || self.lens_layer(site).is_some()
            || self.record.as_ref().is_some_and(|record| record.wants(site, self.slot) != Want::No)
    }

    fn look(&mut self, view: View, values: &[f32]) {
        let wanted = self.watch.sites.contains(&view.site);
        let layer = self.lens_layer(view.site);
        if wanted || layer.is_some() {
            let queries = view.queries();
            let heads = view.rows / queries.max(1);
            for row in (0..queries).filter(|row| self.watch.positions.contains(&(view.position + row))) {
                let position = view.position + row;
                if wanted {
                    // A query has no key after itself.
                    let cols = if view.site.is_square() { position + 1 } else { view.cols };
                    let of_head = |head: usize| &values[(head * queries + row) * view.cols..][..cols];
                    let values = (0..heads).flat_map(of_head).copied().collect();
                    self.seen.rows.push(SeenRow { site: view.site, position, shape: [heads, cols], values });
                }
                if let Some(layer) = layer {
                    let vector = values[row * view.cols..][..view.cols].to_vec();
                    self.residuals.push((layer, position, vector));
                }
            }
        }
        if let Some(record) =
            self.record.as_mut().filter(|record| record.wants(view.site, view.slot) != Want::No)
        {
            record.look(view, values);
        }
    }
}

/// The watched sequences of a pass.
pub(super) struct Watching<'w>(pub(super) Vec<&'w mut Watched>);

impl Watching<'_> {
    fn of(&self, slot: usize) -> Option<&Watched> {
        self.0.iter().find(|watched| watched.slot == slot).map(|watched| &**watched)
    }

    fn of_mut(&mut self, slot: usize) -> Option<&mut Watched> {
        self.0.iter_mut().find(|watched| watched.slot == slot).map(|watched| &mut **watched)
    }
}

impl Probe for Watching<'_> {
    fn begin(&mut self, ahead: &Ahead<'_>) -> Result<()> {
        self.0
            .iter_mut()
            .try_for_each(|watched| watched.record.as_mut().map_or(Ok(()), |record| record.begin(ahead)))
    }

    fn wants(&self, site: Site, slot: usize) -> Want {
        let Some(watched) = self.of(slot) else { return Want::No };
        match watched.edits.wants(site, slot) {
            Want::No if watched.looks(site) => Want::Look,
            want => want,
        }
    }

    fn look(&mut self, view: View, values: &[f32]) {
        if let Some(watched) = self.of_mut(view.slot) {
            watched.look(view, values);
        }
    }

    fn edit(&mut self, view: View, values: &mut [f32]) -> Did {
        let Some(watched) = self.of_mut(view.slot) else { return Did::Looked };
        let did = watched.edits.edit(view, values);
        if watched.looks(view.site) {
            watched.look(view, values);
        }
        did
    }
}
