//go:build race

package campaign

// raceEnabled: the race detector makes a million rows a matter of minutes.
const raceEnabled = true
