// Package lint holds the repository's own checks, as ordinary tests: which room may import which, that each package says
// what it is, and what may not stand in the tree.
package lint
