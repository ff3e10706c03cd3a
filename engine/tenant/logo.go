package tenant

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // read, never written
	"image/png"
	"strings"

	"golang.org/x/image/draw"
)

// Limits of a logo. What recipients get is small: the first page is on a phone, and has 30 kB in all.
const (
	MaxLogoFile   = 512 << 10 // bytes of a file that is given
	maxLogoSide   = 4000      // pixels of it
	MaxLogo       = 12 << 10  // bytes as it is kept
	logoWidth     = 480       // pixels as it is kept, at most
	logoHeight    = 128
	minLogoPixels = 8
)

// Logo is a picture that pages and documents show beside the tenant's name. It is public, and named by its content.
type Logo struct {
	PNG    []byte `json:"png"`
	Name   string `json:"name"` // 24 hexadecimal digits and ".png"
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

// LogoPNG is the picture on documents; nil: there is none.
func (b *Brand) LogoPNG() []byte {
	if b.Logo == nil {
		return nil
	}
	return b.Logo.PNG
}

// LogoError says why a file is no logo.
type LogoError struct {
	Code       string // pattern: neither PNG nor JPEG; too_long: bytes; range: pixels
	Limit, Got int64
}

func (e *LogoError) Error() string {
	switch e.Code {
	case "too_long":
		return fmt.Sprintf("logo: has %d bytes, %d are allowed", e.Got, e.Limit)
	case "range":
		return fmt.Sprintf("logo: is %d pixels wide or high, %d to %d are allowed", e.Got, minLogoPixels, e.Limit)
	}
	return "logo: is neither PNG nor JPEG"
}

// ReadLogo makes a logo of a PNG or JPEG file: decoded, made smaller, and encoded anew, so that nothing of the file but its
// pixels is ever served. The same file gives the same logo. Errors: *LogoError.
func ReadLogo(file []byte) (*Logo, error) {
	if len(file) > MaxLogoFile {
		return nil, &LogoError{"too_long", MaxLogoFile, int64(len(file))}
	}
	config, format, err := image.DecodeConfig(bytes.NewReader(file))
	if err != nil || format != "png" && format != "jpeg" {
		return nil, &LogoError{Code: "pattern"}
	}
	if side := max(config.Width, config.Height); side > maxLogoSide {
		return nil, &LogoError{"range", maxLogoSide, int64(side)}
	}
	if side := min(config.Width, config.Height); side < minLogoPixels {
		return nil, &LogoError{"range", maxLogoSide, int64(side)}
	}
	src, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, &LogoError{Code: "pattern"}
	}
	scale := min(1, logoWidth/float64(config.Width), logoHeight/float64(config.Height))
	for last := 0; ; scale *= 0.8 {
		w, h := max(int(float64(config.Width)*scale), 1), max(int(float64(config.Height)*scale), 1)
		if w < minLogoPixels || h < minLogoPixels {
			return nil, &LogoError{"too_long", MaxLogo, int64(last)}
		}
		dst := image.NewNRGBA(image.Rect(0, 0, w, h))
		draw.CatmullRom.Scale(dst, dst.Rect, src, src.Bounds(), draw.Src, nil)
		var out bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, dst); err != nil {
			return nil, err
		}
		if last = out.Len(); last <= MaxLogo {
			sum := sha256.Sum256(out.Bytes())
			return &Logo{PNG: out.Bytes(), Name: hex.EncodeToString(sum[:12]) + ".png", Width: w, Height: h}, nil
		}
	}
}

// Logo finds the logo of a name, whosever it is.
func (s *Snapshot) Logo(name string) (*Logo, bool) {
	l, ok := s.logos[name]
	return l, ok
}

// SetBrand changes how a tenant looks. change gets the brand as it is now. Errors: those of change and of Validate, each naming
// its field; ErrStale.
func (d *Directory) SetBrand(ctx context.Context, id ID, change func(Brand) (Brand, error)) error {
	return d.change(ctx, TenantApplied, func(s *Snapshot) (any, error) {
		old := s.Tenants[id]
		if old == nil {
			return nil, fmt.Errorf("tenant: there is no tenant %q", id)
		}
		t := *old
		var err error
		if t.Brand, err = change(old.Brand); err != nil {
			return nil, err
		}
		if errs := t.Brand.Validate(); len(errs) > 0 {
			return nil, errors.Join(errs...)
		}
		return t, nil
	})
}

// Limits of a brand's texts, in characters.
const (
	MaxBrandPhone = 20
	MaxBrandHours = 80
	MaxBrandNote  = 200
)

// BrandError is a fault of one field of a brand.
type BrandError struct {
	Field      string // color, phone, hours, note, hours_en, note_en, renderer
	Code       string // required, too_long, pattern
	Limit, Got int64
}

func (e *BrandError) Error() string {
	switch e.Code {
	case "required":
		return "brand." + e.Field + ": is required: every page shows whom to ask"
	case "too_long":
		return fmt.Sprintf("brand.%s: has %d characters, %d are allowed", e.Field, e.Got, e.Limit)
	}
	if e.Field == "renderer" {
		return "brand.renderer: must begin with render/"
	}
	return "brand." + e.Field + ": must be #rrggbb"
}

// Validate reports all faults, each a *BrandError.
func (b *Brand) Validate() (errs []error) {
	if b.Color != "" && !colorPattern.MatchString(b.Color) {
		errs = append(errs, &BrandError{Field: "color", Code: "pattern"})
	}
	if b.Renderer != "" && !strings.HasPrefix(b.Renderer, "render/") {
		errs = append(errs, &BrandError{Field: "renderer", Code: "pattern"})
	}
	if b.Phone == "" {
		errs = append(errs, &BrandError{Field: "phone", Code: "required"})
	}
	for _, f := range []struct {
		name, text string
		limit      int
	}{{"phone", b.Phone, MaxBrandPhone}, {"hours", b.Hours, MaxBrandHours}, {"note", b.Note, MaxBrandNote},
		{"hours_en", b.HoursEN, MaxBrandHours}, {"note_en", b.NoteEN, MaxBrandNote}} {
		if n := length(f.text); n > f.limit {
			errs = append(errs, &BrandError{Field: f.name, Code: "too_long", Limit: int64(f.limit), Got: int64(n)})
		}
	}
	return errs
}
