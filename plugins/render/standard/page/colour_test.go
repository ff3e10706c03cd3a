package page

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every 17th value of each channel: whatever colour a tenant has, its page can be read.
func TestEveryBrandColourIsReadable(t *testing.T) {
	for r := 0; r < 256; r += 17 {
		for g := 0; g < 256; g += 17 {
			for b := 0; b < 256; b += 17 {
				c := rgb{uint8(r), uint8(g), uint8(b)}
				require.GreaterOrEqual(t, contrast(c, textOn(c)), contrastAA, "header %v", c)
				require.GreaterOrEqual(t, contrast(accentOf(c), white), contrastAA, "button %v", c)
				require.GreaterOrEqual(t, contrast(accentOf(c), paper), contrastAA, "link %v", c)
			}
		}
	}
}

func TestColourThatIsEnoughStays(t *testing.T) {
	c := parseColour("#00508c")
	require.Equal(t, c, accentOf(c))
	require.Equal(t, "#00508c", c.String())
}

func TestNoColourOrNonsenseIsPlain(t *testing.T) {
	for _, s := range []string{"", "red", "#fff", "#12345g", "#1234567", "url(x)"} {
		require.Equal(t, plainBlue, parseColour(s), s)
	}
}
