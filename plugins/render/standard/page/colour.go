package page

import (
	"fmt"
	"math"
	"strconv"
)

// rgb is a colour of eight bits per channel.
type rgb struct{ r, g, b uint8 }

var (
	white     = rgb{0xff, 0xff, 0xff}
	black     = rgb{}
	paper     = rgb{0xf3, 0xf4, 0xf6} // the darkest background of the page
	plainBlue = rgb{0x1d, 0x4f, 0x7c} // when the tenant has no colour
)

// contrastAA is the least contrast of text. WCAG 2.2 §1.4.3.
const contrastAA = 4.5

// parseColour reads #rrggbb; anything else is plainBlue.
func parseColour(s string) rgb {
	if len(s) != 7 || s[0] != '#' {
		return plainBlue
	}
	n, err := strconv.ParseUint(s[1:], 16, 24)
	if err != nil {
		return plainBlue
	}
	return rgb{uint8(n >> 16), uint8(n >> 8), uint8(n)}
}

func (c rgb) String() string { return fmt.Sprintf("#%02x%02x%02x", c.r, c.g, c.b) }

// linear is the light of each value of a channel. WCAG 2.2, definitions of relative luminance.
var linear = func() (of [256]float64) {
	for v := range of {
		s := float64(v) / 255
		if s <= 0.04045 {
			of[v] = s / 12.92
		} else {
			of[v] = math.Pow((s+0.055)/1.055, 2.4)
		}
	}
	return of
}()

// luminance is the relative luminance. WCAG 2.2, definitions.
func (c rgb) luminance() float64 {
	return 0.2126*linear[c.r] + 0.7152*linear[c.g] + 0.0722*linear[c.b]
}

// contrast is 1 to 21. WCAG 2.2, definitions.
func contrast(a, b rgb) float64 {
	hi, lo := a.luminance(), b.luminance()
	if hi < lo {
		hi, lo = lo, hi
	}
	return (hi + 0.05) / (lo + 0.05)
}

// textOn is white where it can be read on c, else black. One of the two always reaches contrastAA.
func textOn(c rgb) rgb {
	if contrast(c, white) >= contrastAA {
		return white
	}
	return black
}

// accentOf darkens the brand colour until white text on it, and it as text on the page, reach contrastAA.
func accentOf(c rgb) rgb {
	for contrast(c, paper) < contrastAA {
		c.r, c.g, c.b = darker(c.r), darker(c.g), darker(c.b)
	}
	return c
}

func darker(v uint8) uint8 { return uint8(float64(v) * 0.97) }
