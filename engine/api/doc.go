// Package api is the sender's HTTP API: keys and addresses at the door, messages in, their state out, claims stated.
// It decides nothing about a message; engine/intake does.
//
// Order of steps of a request:
//
//  1. The client's address: the connection's, or what a trusted proxy forwards. Plain HTTP comes only from a trusted proxy.
//  2. The key (Authorization: Bearer kk_…) names the tenant; the tenant's allowlist must hold the address. An empty
//     allowlist admits nobody.
//  3. Route, method, content type, size, the tenant's rate.
//  4. The handler. 202 goes out only for what is on disk.
//
// Every refusal is a problem document (RFC 9457) whose errors name each field, in the language of Accept-Language
// (Japanese where nothing fits). openapi.json describes all of it and is tested against the handlers.
//
// Phone numbers are masked in every answer, except in that to GET /v1/messages/{id}?unmask=1, which stands in the audit log first. They never
// stand in a URL: a search by number is POST /v1/messages:search. One-time codes and SMS texts are never given out.
//
// A batch is read line by line and committed in chunks while it comes in; its answer follows at the end. Nothing is held
// of a batch but its current chunk and the answer lines. A client that lost the answer sends the same lines again with
// the same keys.
package api
