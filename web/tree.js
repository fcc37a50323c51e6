// A conversation as a tree: each question and each answer may have siblings, and one path is shown.

export const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** nodes: `{ id: { id, parent, role, content, children, chosen, … } }`; the root is the node "root". */
export function newConversation(settings) {
  const now = Date.now();
  return {
    id: newId(),
    title: "",
    created: now,
    updated: now,
    system: "",
    settings,
    nodes: { root: { id: "root", children: [], chosen: null } },
  };
}

/** Adds a child below `parent` and shows it. */
export function add(talk, parent, fields) {
  const node = { id: newId(), parent, children: [], chosen: null, ...fields };
  talk.nodes[node.id] = node;
  talk.nodes[parent].children.push(node.id);
  talk.nodes[parent].chosen = node.id;
  talk.updated = Date.now();
  return node;
}

/** The shown path, from the first question to the last message. */
export function path(talk) {
  const shown = [];
  for (let id = talk.nodes.root.chosen; id; id = talk.nodes[id].chosen) shown.push(talk.nodes[id]);
  return shown;
}

/** The messages from the root to `node`, itself included. */
export function upTo(talk, node) {
  const found = [];
  for (let at = node; at && at.id !== "root"; at = talk.nodes[at.parent]) found.unshift(at);
  return found;
}

/** Where `node` stands among its siblings: `{ place, of }`, counted from 0. */
export function place(talk, node) {
  const { children } = talk.nodes[node.parent];
  return { place: children.indexOf(node.id), of: children.length };
}

/** Shows the sibling `by` steps away. */
export function choose(talk, node, by) {
  const parent = talk.nodes[node.parent];
  const at = parent.children.indexOf(node.id) + by;
  if (parent.children[at]) parent.chosen = parent.children[at];
}

/** What the list calls a conversation that has no name of its own. */
export function title(talk) {
  if (talk.title) return talk.title;
  const first = talk.nodes.root.chosen;
  const text = first ? talk.nodes[first].content.trim().replace(/\s+/g, " ") : "";
  return text ? [...text].slice(0, 60).join("") : "New conversation";
}

/** Whether this is a conversation that the page can show; files may hold anything. */
export function isSound(talk) {
  const isText = (value) => typeof value === "string";
  if (!talk || !isText(talk.id) || !isText(talk.title) || !isText(talk.system)) return false;
  const { nodes } = talk;
  if (typeof nodes !== "object" || !Array.isArray(nodes?.root?.children)) return false;
  const sound = (id) => {
    const node = Object.hasOwn(nodes, id) && nodes[id];
    if (!node || !Array.isArray(node.children) || node.id !== id) return false;
    if (node.chosen !== null && !node.children.includes(node.chosen)) return false;
    if (id !== "root" && !(isText(node.content) && ["user", "assistant"].includes(node.role))) return false;
    return node.children.every((child) => nodes[child]?.parent === id);
  };
  if (!Object.keys(nodes).every(sound)) return false;
  // Each node hangs below the root exactly once: no circles.
  const seen = new Set();
  const walk = [...nodes.root.children];
  while (walk.length) {
    const id = walk.pop();
    if (seen.has(id)) return false;
    seen.add(id);
    walk.push(...nodes[id].children);
  }
  return seen.size === Object.keys(nodes).length - 1;
}
