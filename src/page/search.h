// The JSON answers about documents. All read the store: not for an event loop.
#pragma once

#include "http/server.h"
#include "page/page.h"

namespace ca4::page {

// GET /api/documents?limit=&id=&pipeline=&device=&model= gives
// {"documents":[{...}],"media":[id, ...],"cut":[id, ...]}, newest first, then whose image
// /api/media would give: a page that tried them all would fill the browser's console with 404s.
// Those that are cut are large, and only their head is there; with `id` the document is whole.
http::Response documents_answer(const PageParts& parts, const http::Request& request);

// GET /api/similar?id=&k=: nearest to a stored document, itself first:
// {"neighbours":[{"cosine":x,"media":true,"cut":false,"document":{...}}]}
http::Response similar_to_document(const PageParts& parts, const http::Request& request);

// POST /api/similar?k=: nearest to the image in the body.
http::Response similar_to_image(const PageParts& parts, const http::Request& request);

// GET /api/media?id=: the image that a document's source_uri names.
http::Response media_answer(const PageParts& parts, const http::Request& request);

}  // namespace ca4::page
