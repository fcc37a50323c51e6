// What the browser keeps: conversations in its database, drafts and small choices in its local storage.

let database = null;
/** News between tabs: a conversation was saved or deleted elsewhere. */
const channel = "BroadcastChannel" in window ? new BroadcastChannel("glass") : null;

const done = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** Opens the database; returns all conversations. */
export async function open() {
  const request = indexedDB.open("glass", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("talks", { keyPath: "id" });
  database = await done(request);
  return done(database.transaction("talks").objectStore("talks").getAll());
}

/** Runs one change; resolves when it is on disk. */
function write(change) {
  if (!database) return Promise.reject(new Error("no database"));
  return new Promise((resolve, reject) => {
    const transaction = database.transaction("talks", "readwrite");
    transaction.oncomplete = resolve;
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
    change(transaction.objectStore("talks"));
  });
}

export async function saveTalk(talk) {
  await write((talks) => talks.put(talk));
  channel?.postMessage({ saved: talk.id });
}

export async function deleteTalk(id) {
  await write((talks) => talks.delete(id));
  channel?.postMessage({ deleted: id });
}

export const loadTalk = (id) => done(database.transaction("talks").objectStore("talks").get(id));

/** Calls `f({ saved | deleted: id })` when another tab changes something. */
export function onOtherTabs(f) {
  channel?.addEventListener("message", (event) => f(event.data));
}

/** Why something could not be kept, in words. */
export function whyNotKept(error) {
  return error?.name === "QuotaExceededError"
    ? "The browser's storage for this page is full. Export conversations and delete old ones."
    : "This browser keeps nothing for this page; export what you need before closing it.";
}

// Small things. A browser that refuses storage only forgets them.

export function remember(key, value) {
  try {
    if (value === "" || value === null) localStorage.removeItem(`glass-${key}`);
    else localStorage.setItem(`glass-${key}`, value);
  } catch {
    // Nothing to be done.
  }
}

export function recall(key) {
  try {
    return localStorage.getItem(`glass-${key}`) ?? "";
  } catch {
    return "";
  }
}

/** Forgets everything whose key begins so. */
export function forget(prefix) {
  try {
    for (const key of Object.keys(localStorage)) if (key.startsWith(`glass-${prefix}`)) localStorage.removeItem(key);
  } catch {
    // As above.
  }
}
