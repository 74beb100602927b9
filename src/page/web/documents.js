// The latest documents, one of them in full, and search by example.

import {getJson, getNeighbours, thumbnail} from "./api.js";
import {$, ago, element, number, reconcile} from "./draw.js";

const kNeighbours = 12;

const hash = (what, id) => `#${what}=${encodeURIComponent(id)}`;
const gpuOf = (doc) => doc.gpu?.name ?? doc.gpu?.device ?? "";

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // not as URIs are written, or no UTF-8
  }
}

// What a person knows a picture by: its file's name, unless that is the id already.
function fileName(doc) {
  const path = (doc.source_uri ?? "").replace(/[?#].*$/s, "").replace(/\/+$/, "");
  const name = decoded(path.slice(path.lastIndexOf("/") + 1));
  return name === "" || name === doc.metadata_id ? null : element("span", {className: "file"}, name);
}

function quiet(values) {
  return values.filter((value) => value !== undefined && value !== null && value !== "").join(" · ");
}

function row(doc, shown) {
  const id = doc.metadata_id;
  const cell = (value, more = "") => element("td", {className: `roomy ${more}`}, String(value ?? ""));
  return element(
    "tr", {},
    element("td", {className: "image"}, thumbnail(doc, shown)),
    element("th", {scope: "row"},
      element("a", {href: hash("document", id), className: "id"}, id), fileName(doc),
      element("span", {className: "sub"},
        quiet([doc.pipeline, doc.model_name, gpuOf(doc), doc.embedding_dim]) + " · ",
        element("time", {}))),
    cell(doc.pipeline), cell(doc.model_name), cell(gpuOf(doc)),
    cell(doc.embedding_dim, "number"),
    element("td", {className: "roomy"}, element("time", {})),
    element("td", {className: "action"},
      element("a", {className: "button", href: hash("similar", id), ariaLabel: `Similar to ${id}`},
        "Similar")));
}

// What to run next: a store without documents has little else to show.
function showEmpty(filtered) {
  const command = `ca4 produce PHOTOS/ --endpoint ${location.origin} --model MODEL.onnx --pipeline demo`;
  $("empty").replaceChildren(...(filtered
    ? [element("p", {}, "No document matches this filter.")]
    : [element("p", {}, "No documents yet. Send some from a folder of images:"),
      element("pre", {tabIndex: 0}, element("code", {}, command))]));
}

// Brings the list up to date. Throws what getJson throws.
export async function refreshDocuments() {
  const query = new URLSearchParams({limit: 20});
  for (const [name, value] of new FormData($("filter"))) {
    if (value.trim()) query.set(name, value.trim());
  }
  const {documents, media} = await getJson(`/api/documents?${query}`);
  if (documents === null) {
    $("empty").replaceChildren(element("p", {}, "The document store is not in this process."));
  } else {
    const shown = new Set(media);
    const has = (doc) => shown.has(doc.metadata_id);
    reconcile($("latest").tBodies[0], documents, (doc) => doc.metadata_id,
      (doc) => `${doc.version}/${doc.offset}/${has(doc)}`, (doc) => row(doc, has(doc)));
    for (const doc of documents) {
      const row = $("latest").querySelector(`tr[data-key="${CSS.escape(doc.metadata_id)}"]`);
      for (const time of row.querySelectorAll("time")) {
        time.textContent = ago(doc.ingested_at);
        time.dateTime = doc.ingested_at_date;
        time.title = doc.ingested_at_date;
      }
    }
    if (documents.length === 0) showEmpty(query.size > 1);  // more than the limit
  }
  // Without any document there is nothing to search; a filter may only hide them.
  const some = documents !== null && documents.length > 0;
  $("empty").hidden = some;
  $("no-pictures").hidden = !some || media.length > 0;
  $("latest").hidden = !some;
  const empty = documents === null || (!some && query.size === 1);
  $("filter").hidden = empty;
  $("search").hidden = empty;
}

let openings = 0;  // what the address says by now may be another document, or none

async function showDetail(id) {
  const mine = openings;
  let doc = null;
  let hasPicture = false;
  let told = "There is no such document (any more).";
  try {
    const {documents, media} = await getJson(`/api/documents?limit=1&id=${encodeURIComponent(id)}`);
    doc = documents?.[0] ?? null;
    hasPicture = media.length > 0;
  } catch (error) {
    told = `It can't be shown now: ${error.message}.`;
  }
  if (mine !== openings) return;
  $("detail-title").textContent = id;
  $("detail-similar").href = hash("similar", id);
  $("detail-json").textContent = doc ? JSON.stringify(doc, null, 2) : told;
  $("detail-image").replaceChildren(...(doc ? [thumbnail(doc, hasPicture, id)] : []));
  if (!$("detail").open) $("detail").showModal();
  $("detail-title").focus();
}

function neighbour({cosine, media, document: doc}) {
  const percent = Math.max(0, cosine);
  return element(
    "li", {},
    element("a", {href: hash("document", doc.metadata_id)},
      thumbnail(doc, media),
      element("meter", {min: 0, max: 1, value: percent, ariaHidden: "true"}),
      element("span", {className: "cosine"}, `cosine ${cosine.toFixed(3)}`),
      fileName(doc),
      element("span", {className: "id"}, doc.metadata_id)),
    element("a", {className: "button", href: hash("similar", doc.metadata_id),
      ariaLabel: `Similar to ${doc.metadata_id}`}, "Similar"));
}

let searches = 0;  // an older answer must not replace a newer one

// `ask` gives the neighbours and the picture of the example.
async function search(title, ask) {
  const mine = ++searches;
  $("search-note").textContent = `Searching for what is like ${title}…`;
  $("example").hidden = true;
  $("neighbours").replaceChildren();
  $("search").scrollIntoView({block: "start"});
  try {
    const {neighbours, picture} = await ask();
    if (mine !== searches) return;
    $("example").replaceChildren(picture, element("span", {}, element("b", {}, "Example: "), title));
    $("example").hidden = false;
    $("neighbours").replaceChildren(...neighbours.map(neighbour));
    $("search-note").textContent = neighbours.length
      ? `The ${number(neighbours.length)} nearest to ${title}, nearest first.`
      : "No other stored embedding has this one's dimension.";
  } catch (error) {
    if (mine === searches) $("search-note").textContent = `The search failed: ${error.message}.`;
  }
}

const searchById = (id) => search(id, async () => {
  // One more: the nearest of all is the document itself.
  const {neighbours} = await getNeighbours(`/api/similar?k=${kNeighbours + 1}&id=${encodeURIComponent(id)}`);
  const isItself = (found) => found.document.metadata_id === id;
  const itself = neighbours.find(isItself);
  return {
    neighbours: neighbours.filter((found) => !isItself(found)).slice(0, kNeighbours),
    picture: thumbnail(itself?.document, itself?.media ?? false),
  };
});

function searchByFile(file) {
  if (location.hash) history.replaceState(null, "", location.pathname);
  const url = URL.createObjectURL(file);
  const image = element("img", {src: url, alt: ""});
  image.onload = image.onerror = () => URL.revokeObjectURL(url);
  search(file.name, async () => {
    const {neighbours} = await getNeighbours(`/api/similar?k=${kNeighbours}`, file);
    return {neighbours, picture: element("span", {className: "thumb"}, image)};
  });
}

// The address says what is open: links work, and Back closes.
async function followHash() {
  openings += 1;
  const [, what, id] = /^#(document|similar)=(.+)$/.exec(location.hash) ?? [];
  if (what !== "document" && $("detail").open) $("detail").close();
  if (what === "document") await showDetail(decoded(id));
  if (what === "similar") searchById(decoded(id));
}

// Whether images can be searched for is the server's to say.
export function allowImages(allowed) {
  $("choose").hidden = !allowed;
  $("file").disabled = !allowed;
  $("drop-hint").textContent = allowed
    ? "or drop one here, or press “Similar” at a document below."
    : "This server has no model for images (--model FILE.onnx). Press “Similar” at a document below.";
}

export function startDocuments(refresh) {
  $("filter").addEventListener("input", refresh);
  $("filter").addEventListener("submit", (event) => event.preventDefault());
  $("choose").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", () => {
    if ($("file").files.length) searchByFile($("file").files[0]);
    $("file").value = "";  // the same file again is a change again
  });
  const drop = $("drop");
  for (const kind of ["dragover", "dragleave", "drop"]) {
    // Elsewhere on the page a dropped image would replace the page.
    document.addEventListener(kind, (event) => event.preventDefault());
    drop.addEventListener(kind, () => drop.classList.toggle("over", kind === "dragover"));
  }
  drop.addEventListener("drop", (event) => {
    const file = event.dataTransfer.files[0];
    if (file && !$("file").disabled) searchByFile(file);
  });
  $("detail-close").addEventListener("click", () => $("detail").close());
  $("detail").addEventListener("close", () => {
    if (location.hash.startsWith("#document=")) history.replaceState(null, "", location.pathname);
  });
  window.addEventListener("hashchange", followHash);
  followHash();
}
