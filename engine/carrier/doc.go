// Package carrier owns what a mobile number is, which carrier it belongs to, and what a carrier permits: the addresses that
// may stand as sender, the form of its message ids, the number of segments. It does no I/O but to read its two data files.
//
// # Numbers
//
// The numbering plan of Japan (MIC, 電気通信番号計画) gives 070, 080, 090 and, since 2026, 060 with eight more digits to
// mobile telephony, and the first of the eight is never 0. Those four blocks are:
//
//	060-0…  0600-DEF-GHJK, fixed-mobile convergence numbers
//	080-0…  0800-DEF-GHJK, toll-free numbers of eleven digits
//	070-0…  not assigned to anything
//	090-0…  not assigned to anything
//
// Rehearsals, tests and the simulated carriers need numbers that no person can have. Japan has no block reserved for that
// purpose, so 070-0… and 090-0… serve: such a [Number] is Simulated. A [Table] refuses data that gives one to a real carrier,
// or a real number to a carrier marked simulated, so that neither a rehearsal reaches a person nor a wrong configuration
// sends a simulated number over a paid bind. Should MIC assign these blocks one day, isSimulated is the one place.
//
// # Number to carrier
//
// Japan has no public lookup of ported numbers. A [Table] answers from the operator's table of ported numbers first, then
// from the ranges that MIC assigned. Both are files that the operator supplies and reloads; a bad file leaves the old table in
// use, and what it says of a line is its number, never the phone number in it. The repository's own conf/data/ranges.csv holds only the simulated blocks.
package carrier
