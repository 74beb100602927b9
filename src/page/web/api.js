// Talks to /api: the token, timeouts, and images as object URLs (an <img> could not send the token).

const kTokenKey = "ca4-token";
// Longer than a list of a large store takes; shorter than a person's patience with a dead link.
const kTimeoutMs = 10000;
// A search reads embeddings for up to 20 s and then says why it gives up. Embedding an image takes a second or two on a small
// machine. Both after a queue.
const kSearchTimeoutMs = 60000;
const kImagesMax = 200;  // object URLs kept, a few hundred kB each
const kImagesAtOnce = 4;  // leaves connections of the browser's six for the figures

const $ = (id) => document.getElementById(id);

export class Problem extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

let token = sessionStorage.getItem(kTokenKey) ?? "";
let asking = null;

// Resolves when a token was given. Asked once, however many requests wait for it. `why` is the
// server's word on the one before.
function askToken(why) {
  asking ??= new Promise((resolve) => {
    $("token-note").textContent = token ? `The server refused that token: ${why}.` : "";
    $("token-input").value = "";
    $("token-form").onsubmit = (event) => {
      event.preventDefault();
      token = $("token-input").value.trim();
      sessionStorage.setItem(kTokenKey, token);
      $("token").close();
      asking = null;
      resolve();
    };
    // Escape would leave a page that can show nothing.
    $("token").oncancel = (event) => event.preventDefault();
    if (!$("token").open) $("token").showModal();
  });
  return asking;
}

// The answer, of any 2xx. Throws Problem for another status, TypeError or a TimeoutError when the
// server could not be reached.
async function request(path, options = {}) {
  for (;;) {
    if (asking) await asking;
    const sent = token;
    const response = await fetch(path, {
      ...options,
      cache: "no-store",
      headers: token ? {Authorization: `Bearer ${token}`} : {},
      signal: AbortSignal.timeout(options.timeout_ms ?? kTimeoutMs),
    });
    if (response.ok) return response;
    const body = await response.json().catch(() => ({}));
    const detail = body.detail ?? `${response.status} ${response.statusText}`;
    // 403 with a token: one that may send, and not see.
    if (response.status === 401 || (response.status === 403 && sent)) {
      if (sent === token) await askToken(detail);  // else another request asked meanwhile
      continue;
    }
    throw new Problem(response.status, detail);
  }
}

export const getJson = async (path) => (await request(path)).json();

// The neighbours of a stored document, or of the image that is given.
export const getNeighbours = async (path, image) =>
  (await request(path, {...(image && {method: "POST", body: image}), timeout_ms: kSearchTimeoutMs})).json();

const images = new Map();  // id and version -> promise of an object URL or null
let running = 0;
const waiting = [];

async function load(id, key) {
  if (running >= kImagesAtOnce) await new Promise((resolve) => waiting.push(resolve));
  running += 1;
  try {
    const response = await request(`/api/media?id=${encodeURIComponent(id)}`);
    return URL.createObjectURL(await response.blob());
  } catch (error) {
    if (error.status !== 404) images.delete(key);  // may work the next time
    return null;
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

function imageUrl({metadata_id: id, version}) {
  const key = `${version}/${id}`;  // a newer one may have another picture
  if (!images.has(key)) {
    images.set(key, load(id, key));
    if (images.size > kImagesMax) {
      const [oldest, url] = images.entries().next().value;
      images.delete(oldest);
      url.then((value) => value && URL.revokeObjectURL(value));
    }
  }
  return images.get(key);
}

// A box that fills itself with the document's image; `shown` is whether the server has one.
export function thumbnail(doc, shown, alt = "") {
  const box = document.createElement("span");
  box.className = shown ? "thumb" : "thumb none";
  if (!shown) return box;
  imageUrl(doc).then((url) => {
    if (!url) return box.classList.add("none");
    const image = document.createElement("img");
    image.alt = alt;
    image.src = url;
    box.replaceChildren(image);
  });
  return box;
}
