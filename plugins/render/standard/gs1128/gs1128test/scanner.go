// Package gs1128test reads barcodes back in tests, by a decoder that is not ours.
package gs1128test

import (
	"image"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/oned"
	"github.com/stretchr/testify/require"
)

// fnc1 is how the decoder writes an FNC1 that does not stand first.
const fnc1 = "\x1d"

// Scan returns the digits of the one GS1-128 symbol in img, without its start character and FNC1. harder is for an image
// in which the symbol is a small part. The test ends when there is none, or when it is plain Code 128.
func Scan(t testing.TB, img image.Image, harder bool) string {
	t.Helper()
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	require.NoError(t, err)
	hints := map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_ASSUME_GS1: true}
	if harder {
		hints[gozxing.DecodeHintType_TRY_HARDER] = true
	}
	read, err := oned.NewCode128Reader().Decode(bitmap, hints)
	require.NoError(t, err)
	digits, ok := strings.CutPrefix(read.GetText(), "]C1")
	require.True(t, ok, "a symbol of GS1-128: %q", read.GetText())
	// The symbol check character has the value of FNC1 in one symbol of 103, and the decoder then takes it for one.
	return strings.TrimSuffix(digits, fnc1)
}
