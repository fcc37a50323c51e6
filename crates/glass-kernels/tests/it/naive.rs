//! Every operation as a textbook loop in f64: the references. Slow, short, and sharing nothing with the kernels.

/// Every element as f64.
pub fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// `y = x Wᵀ + b`; x: `[rows, inputs]`, w: `[outputs, inputs]`.
pub fn linear(x: &[f64], w: &[f64], bias: Option<&[f64]>, inputs: usize) -> Vec<f64> {
    let mut y = Vec::new();
    for x in x.chunks(inputs) {
        for (j, w) in w.chunks(inputs).enumerate() {
            y.push(bias.map_or(0.0, |b| b[j]) + x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>());
        }
    }
    y
}

/// LayerNorm of every row.
pub fn norm(x: &[f64], gain: &[f64], bias: Option<&[f64]>, epsilon: f64) -> Vec<f64> {
    let cols = gain.len();
    let mut y = Vec::new();
    for x in x.chunks(cols) {
        let mean = x.iter().sum::<f64>() / cols as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / cols as f64;
        let unit = x.iter().map(|x| (x - mean) / (variance + epsilon).sqrt());
        y.extend(unit.enumerate().map(|(j, unit)| unit * gain[j] + bias.map_or(0.0, |b| b[j])));
    }
    y
}

/// RMSNorm of every row.
pub fn rms_norm(x: &[f64], gain: &[f64], bias: Option<&[f64]>, epsilon: f64) -> Vec<f64> {
    let cols = gain.len();
    let mut y = Vec::new();
    for x in x.chunks(cols) {
        let root = (x.iter().map(|x| x * x).sum::<f64>() / cols as f64 + epsilon).sqrt();
        y.extend(x.iter().enumerate().map(|(j, x)| x / root * gain[j] + bias.map_or(0.0, |b| b[j])));
    }
    y
}

/// Rotary positions: element `pair(i)` of the first `width` of each head is the i-th pair's, a complex number that is
/// multiplied by `cos + i sin` of its row.
pub fn rotate(
    x: &[f64],
    [heads, size, width]: [usize; 3],
    pair: impl Fn(usize) -> [usize; 2],
    cos: &[f64],
    sin: &[f64],
) -> Vec<f64> {
    let mut y = x.to_vec();
    let each = x.len() / (cos.len() / (width / 2) * heads * size);
    for (h, head) in y.chunks_mut(size).enumerate() {
        let row = h / heads / each;
        for i in 0..width / 2 {
            let ([a, b], at) = (pair(i), row * (width / 2) + i);
            let (x, y) = (head[a], head[b]);
            head[a] = x * cos[at] - y * sin[at];
            head[b] = x * sin[at] + y * cos[at];
        }
    }
    y
}

/// `c tanh(x / c)`.
pub fn cap(x: f64, c: f64) -> f64 {
    c * (x / c).tanh()
}

/// GELU: `x (1 + erf(x / √2)) / 2`, erf by a series of positive terms.
pub fn gelu(x: f64) -> f64 {
    let z = x.abs() / 2f64.sqrt();
    let mut term = z;
    let mut sum = 0.0;
    for n in 1..400 {
        sum += term;
        term *= 2.0 * z * z / f64::from(2 * n + 1);
    }
    let erf = if z > 6.0 { 1.0 } else { 2.0 / std::f64::consts::PI.sqrt() * (-z * z).exp() * sum };
    0.5 * x * (1.0 + erf.copysign(x))
}

/// GELU in its tanh form.
pub fn gelu_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
}

/// GELU as `x σ(1.702 x)`.
pub fn gelu_sigmoid(x: f64) -> f64 {
    x / (1.0 + (-1.702 * x).exp())
}

/// `x σ(x)`.
pub fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

/// `max(x, 0)`.
pub fn relu(x: f64) -> f64 {
    x.max(0.0)
}

/// `max(x, 0)²`.
pub fn squared_relu(x: f64) -> f64 {
    x.max(0.0).powi(2)
}

/// `-log softmax(logits)[target]` of every row; `None` is not counted.
pub fn loss(logits: &[f64], targets: &[Option<usize>], cols: usize) -> Vec<f64> {
    let row = |(x, target): (&[f64], &Option<usize>)| {
        let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = x.iter().map(|x| (x - max).exp()).sum();
        target.map_or(0.0, |target| sum.ln() + max - x[target])
    };
    logits.chunks(cols).zip(targets).map(row).collect()
}

/// One sequence for [`attend`].
#[derive(Clone)]
pub struct Sequence {
    /// `[rows][query heads][size]`: the last rows of the sequence.
    pub q: Vec<f64>,
    /// `[positions][key heads][size]`.
    pub k: Vec<f64>,
    /// `[positions][key heads][size]`.
    pub v: Vec<f64>,
    /// Query heads, key heads, size.
    pub heads: [usize; 3],
    /// The factor of scores.
    pub scale: f64,
    /// How many positions a query sees.
    pub window: Option<usize>,
    /// The limit of scores.
    pub cap: Option<f64>,
    /// A number of each query head that takes part in the softmax.
    pub sinks: Option<Vec<f64>>,
}

impl Sequence {
    pub fn rows(&self) -> usize {
        self.q.len() / self.heads[0] / self.heads[2]
    }

    pub fn positions(&self) -> usize {
        self.k.len() / self.heads[1] / self.heads[2]
    }

    /// The scores of one row of one head: a query by every key, before scaling and mask.
    pub fn scores(&self, row: usize, head: usize) -> Vec<f64> {
        let [queries, keys, size] = self.heads;
        let q = &self.q[(row * queries + head) * size..][..size];
        let key = |j: usize| &self.k[(j * keys + head / (queries / keys)) * size..][..size];
        (0..self.positions()).map(|j| q.iter().zip(key(j)).map(|(q, k)| q * k).sum()).collect()
    }

    /// Whether a row sees a position.
    pub fn sees(&self, row: usize, position: usize) -> bool {
        let own = self.positions() - self.rows() + row;
        position <= own && self.window.is_none_or(|window| own - position < window)
    }

    /// The scores of one row of one head, scaled, limited and masked.
    pub fn masked(&self, row: usize, head: usize) -> Vec<f64> {
        let limited = |s: f64| self.cap.map_or(s, |cap| cap * (s / cap).tanh());
        let masked = |(j, s): (usize, f64)| match self.sees(row, j) {
            true => limited(s * self.scale),
            false => f64::NEG_INFINITY,
        };
        self.scores(row, head).into_iter().enumerate().map(masked).collect()
    }

    /// The pattern of one row of one head, over all positions, and its log-sum-exp.
    pub fn pattern(&self, row: usize, head: usize) -> (Vec<f64>, f64) {
        let mut p = self.masked(row, head);
        p.extend(self.sinks.as_ref().map(|sinks| sinks[head]));
        let max = p.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = p.iter().map(|s| (s - max).exp()).sum();
        p.iter_mut().for_each(|s| *s = (*s - max).exp() / sum);
        p.truncate(self.positions());
        (p, sum.ln() + max)
    }

    /// The output of every row, and the log-sum-exps; the pattern is multiplied by `mask(row, head, position)`.
    pub fn attend(&self, mask: &dyn Fn(usize, usize, usize) -> f64) -> (Vec<f64>, Vec<f64>) {
        let [queries, keys, size] = self.heads;
        let (mut z, mut sums) = (Vec::new(), Vec::new());
        for row in 0..self.rows() {
            for head in 0..queries {
                let (p, sum) = self.pattern(row, head);
                let v = |j: usize, e: usize| self.v[(j * keys + head / (queries / keys)) * size + e];
                let mixed =
                    |e| p.iter().enumerate().map(|(j, p)| p * mask(row, head, j) * v(j, e)).sum::<f64>();
                z.extend((0..size).map(mixed));
                sums.push(sum);
            }
        }
        (z, sums)
    }
}

/// One element's step of AdamW, in the order of algorithm 2 in its paper: returns weight and both moments.
pub fn adamw(
    w: f64,
    g: f64,
    m: f64,
    v: f64,
    [rate, beta1, beta2, epsilon, decay]: [f64; 5],
    step: i32,
) -> [f64; 3] {
    let (m, v) = (beta1 * m + (1.0 - beta1) * g, beta2 * v + (1.0 - beta2) * g * g);
    let (first, second) = (m / (1.0 - beta1.powi(step)), v / (1.0 - beta2.powi(step)));
    [w - rate * decay * w - rate * first / (second.sqrt() + epsilon), m, v]
}

/// Iterations of Newton–Schulz with these quintics on a `rows` × `cols` matrix, which is divided by its norm first.
pub fn orthogonalise(x: &[f64], rows: usize, cols: usize, quintics: &[[f32; 3]]) -> Vec<f64> {
    let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let mut x: Vec<f64> = x.iter().map(|x| x / norm).collect();
    for [a, b, c] in quintics.iter().map(|quintic| quintic.map(f64::from)) {
        let gram = product(&x, &transposed(&x, rows, cols), rows, cols, rows);
        let fourth = product(&gram, &gram, rows, rows, rows);
        let factor: Vec<f64> =
            gram.iter().zip(&fourth).map(|(second, fourth)| b * second + c * fourth).collect();
        let turned = product(&factor, &x, rows, rows, cols);
        x.iter_mut().zip(turned).for_each(|(x, turned)| *x = a * *x + turned);
    }
    x
}

fn transposed(x: &[f64], rows: usize, cols: usize) -> Vec<f64> {
    (0..cols * rows).map(|i| x[i % rows * cols + i / rows]).collect()
}

/// `[rows, depth]` times `[depth, cols]`.
fn product(x: &[f64], y: &[f64], rows: usize, depth: usize, cols: usize) -> Vec<f64> {
    let at = |i: usize| (0..depth).map(|k| x[i / cols * depth + k] * y[k * cols + i % cols]).sum();
    (0..rows * cols).map(at).collect()
}

/// `scale (x Aᵀ) B`; a: `[rank, inputs]`, b: `[rank, outputs]`.
pub fn low_rank(x: &[f64], a: &[f64], b: &[f64], [inputs, rank]: [usize; 2], scale: f64) -> Vec<f64> {
    let outputs = b.len() / rank;
    let t = linear(x, a, None, inputs);
    let mut y = Vec::new();
    for t in t.chunks(rank) {
        for j in 0..outputs {
            y.push(scale * t.iter().enumerate().map(|(r, t)| t * b[r * outputs + j]).sum::<f64>());
        }
    }
    y
}
