// Package history keeps what each bind did over the last year, without a database.
//
// The Keeper looks at the binds every second (how full the window is) and every ten seconds writes what their Figures grew
// by since. Each bind has three ring files in the data directory: ten seconds for a day, a minute for a week, a quarter of
// an hour for a year (rings). A file is a header and a fixed number of slots; the slot of a time is (time / resolution)
// mod slots, so a new day overwrites the old one and the size never changes: BytesPerBind. The present slot of each ring is
// rewritten every ten seconds, and read back first after a restart, so that a restart loses ten seconds and no more.
//
// Nothing is synced and nothing is repaired: a slot says which time it is of and has a checksum, and one that was torn, or
// is left from the last round, is a gap. A gap is told as such (Record.Covered is zero) and is not the same as a bind that
// was down, or that did nothing. A lost file costs its history. One with a damaged header is set aside as NAME.damaged; one
// of a newer format is left alone and the bind goes without history.
//
// Latencies are kept as counts by size (bind.Latency), because quantiles cannot be added up and counts can. Of the errors a
// slot keeps the six most frequent by status and the sum of the rest.
//
// The file, numbers little-endian:
//
//	header  magic "kakibind" ┆ version 1 ┆ size of name ┆ name ┆ … ┆ resolution, s (4) ┆ slots (4) ┆ CRC-32C of all before (4)
//	slot    time, s (8) ┆ covered, up, ms (4 each) ┆ counts (4 each) ┆ errors (6 × status, count) ┆ … ┆ CRC-32C of all before (4)
//
// Both are recordSize long. record.go has the order of the counts.
package history
