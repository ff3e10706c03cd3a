// Package proto is the contract between the host and its modules: kakitome.proto and what is generated from it.
// Change the .proto, then run `make generate`.
package proto
