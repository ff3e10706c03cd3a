//go:build chaosclock

package main

// A fault run sets the clock of this program (tools/chaos). Only this file knows of the tag: everything else is compiled as always.
import _ "github.com/kakitome/kakitome/engine/clock/stepped"
