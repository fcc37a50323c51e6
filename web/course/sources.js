// What the chapters rest on: papers and posts, and the list at the end of each chapter.

import { make } from "../dom.js";

const arxiv = (number) => `https://arxiv.org/abs/${number}`;

export const SOURCES = {
  sennrich: ["Sennrich, Haddow, Birch", 2016, "Neural Machine Translation of Rare Words with Subword Units", arxiv("1508.07909")],
  radford: ["Radford et al.", 2019, "Language Models are Unsupervised Multitask Learners (GPT-2)", "https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf"],
  brown: ["Brown et al.", 2020, "Language Models are Few-Shot Learners (GPT-3)", arxiv("2005.14165")],
  vaswani: ["Vaswani et al.", 2017, "Attention Is All You Need", arxiv("1706.03762")],
  mikolov: ["Mikolov et al.", 2013, "Efficient Estimation of Word Representations in Vector Space", arxiv("1301.3781")],
  ethayarajh: ["Ethayarajh", 2019, "How Contextual are Contextualized Word Representations?", arxiv("1909.00512")],
  elhage: ["Elhage et al.", 2021, "A Mathematical Framework for Transformer Circuits", "https://transformer-circuits.pub/2021/framework/index.html"],
  olsson: ["Olsson et al.", 2022, "In-context Learning and Induction Heads", arxiv("2209.11895")],
  jain: ["Jain, Wallace", 2019, "Attention is not Explanation", arxiv("1902.10186")],
  wiegreffe: ["Wiegreffe, Pinter", 2019, "Attention is not not Explanation", arxiv("1908.04626")],
  xiao: ["Xiao et al.", 2023, "Efficient Streaming Language Models with Attention Sinks", arxiv("2309.17453")],
  holtzman: ["Holtzman et al.", 2020, "The Curious Case of Neural Text Degeneration", arxiv("1904.09751")],
  lecun: ["LeCun, Bottou, Bengio, Haffner", 1998, "Gradient-based learning applied to document recognition", "https://doi.org/10.1109/5.726791"],
  geva: ["Geva et al.", 2021, "Transformer Feed-Forward Layers Are Key-Value Memories", arxiv("2012.14913")],
  hendrycks: ["Hendrycks, Gimpel", 2016, "Gaussian Error Linear Units (GELUs)", arxiv("1606.08415")],
  ba: ["Ba, Kiros, Hinton", 2016, "Layer Normalization", arxiv("1607.06450")],
  he: ["He et al.", 2016, "Deep Residual Learning for Image Recognition", arxiv("1512.03385")],
  nostalgebraist: ["nostalgebraist", 2020, "interpreting GPT: the logit lens", "https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru/interpreting-gpt-the-logit-lens"],
  press: ["Press, Wolf", 2017, "Using the Output Embedding to Improve Language Models", arxiv("1608.05859")],
  kaplan: ["Kaplan et al.", 2020, "Scaling Laws for Neural Language Models", arxiv("2001.08361")],
  dao: ["Dao et al.", 2022, "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness", arxiv("2205.14135")],
  ouyang: ["Ouyang et al.", 2022, "Training language models to follow instructions with human feedback", arxiv("2203.02155")],
  eldan: ["Eldan, Li", 2023, "TinyStories: How Small Can Language Models Be and Still Speak Coherent English?", arxiv("2305.07759")],
  sanderson: ["Sanderson (3Blue1Brown)", 2024, "Attention in transformers, step-by-step", "https://www.youtube.com/watch?v=eMlx5fFNoYc"],
  rumelhart: ["Rumelhart, Hinton, Williams", 1986, "Learning representations by back-propagating errors", "https://doi.org/10.1038/323533a0"],
  loshchilov: ["Loshchilov, Hutter", 2019, "Decoupled Weight Decay Regularization (AdamW)", arxiv("1711.05101")],
};

/** The list at the end of a chapter. */
export function sources(...names) {
  const line = (name) => {
    const [who, year, title, href] = SOURCES[name];
    return make("li", {}, `${who} ${year}: `, make("a", { href, rel: "noopener" }, title));
  };
  return make("section", { class: "sources" }, make("h3", {}, "Sources"), make("ul", {}, ...names.map(line)));
}
