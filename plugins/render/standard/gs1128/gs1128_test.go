package gs1128

import (
	"image"
	"image/color"
	"regexp"
	"strconv"
	"testing"

	"github.com/boombuler/barcode/code128"
	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/plugins/render/standard/gs1128/gs1128test"
)

// Numbers published by vendors and our own, with due date, stamp flag and no limit.
var numbers = []string{
	"91912345000000000000004520875004013100295004",
	"91908081030210019970070917530026123100074406",
	"91912345000000000000000045208727013110500002",
	"91912345123456789012345678901027013100499997",
	"91912345123456789012345678901999999913000002",
	"91908081202611290116704400000026121900074400", // its symbol check character has the value of FNC1
}

func TestCheckDigitOfPublishedSamples(t *testing.T) {
	require.EqualValues(t, '4', CheckDigit("9191234500000000000000452087500401310029500"))
	require.EqualValues(t, '9', CheckDigit("9190808103021001997007091753011008310005000"))
}

func TestSameModulesAsAnotherEncoder(t *testing.T) {
	for _, n := range numbers {
		bars, err := Encode(n)
		require.NoError(t, err)
		other, err := code128.Encode(string(code128.FNC1) + n)
		require.NoError(t, err)
		require.Equal(t, Modules, other.Bounds().Dx())
		ours := make([]bool, Modules)
		for _, b := range bars {
			for x := b.X; x < b.X+b.Width; x++ {
				ours[x] = true
			}
		}
		for x := range Modules {
			r, _, _, _ := other.At(x, 0).RGBA()
			require.Equal(t, r == 0, ours[x], "%s module %d", n, x)
		}
	}
}

// The path is drawn and read again by a decoder, with the quiet zone that it carries and one pixel per module.
func TestDrawnPathIsReadBack(t *testing.T) {
	step := regexp.MustCompile(`M(\d+) 0h(\d+)v72h-(\d+)z`)
	for _, n := range numbers {
		bars, err := Encode(n)
		require.NoError(t, err)
		img := image.NewGray(image.Rect(0, 0, Modules+2*Quiet, 72))
		for i := range img.Pix {
			img.Pix[i] = 0xff
		}
		steps := step.FindAllStringSubmatch(Path(bars, 72), -1)
		require.Len(t, steps, len(bars))
		for _, s := range steps {
			x, _ := strconv.Atoi(s[1])
			w, _ := strconv.Atoi(s[2])
			require.Equal(t, s[2], s[3])
			for dx := range w {
				for y := range 72 {
					img.SetGray(x+dx, y, color.Gray{})
				}
			}
		}
		require.Equal(t, n, gs1128test.Scan(t, img, false))
	}
}

func TestWrongNumbersAreRefused(t *testing.T) {
	for _, n := range []string{"", "91", numbers[0][:43], numbers[0] + "0", "90" + numbers[0][2:], "91x" + numbers[0][3:], "91１" + numbers[0][5:]} {
		_, err := Encode(n)
		require.ErrorIs(t, err, ErrDigits, n)
	}
	_, err := Encode(numbers[0][:43] + "5")
	require.ErrorIs(t, err, ErrCheck)
}

func TestHumanReadableLines(t *testing.T) {
	first, second := Human(numbers[1])
	require.Equal(t, "(91)908081-0302100199700709175300", first)
	require.Equal(t, "261231-0-007440-6", second)
}
