// Package proto is the contract between the host and its modules: kakitome.proto and what is generated from it,
// and the limits that hold for modules and host alike (limit.go).
// Change the .proto, then run `make generate`.
package proto
