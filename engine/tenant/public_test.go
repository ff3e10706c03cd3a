package tenant

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPublicPageIsChecked(t *testing.T) {
	good := func() Tenant {
		return Tenant{ID: "mizu", Name: "〇〇県水道局", Brand: Brand{Phone: "000-000-0000"}}
	}
	for want, change := range map[string]func(*Tenant){
		"": func(*Tenant) {},
		" ": func(t *Tenant) {
			t.Brand.Public = Public{Site: "https://www.example.jp/sms", NeverAsks: []string{"合言葉"}}
		},
		"brand.public.name":           func(t *Tenant) { t.Brand.Public.Name = strings.Repeat("あ", 81) },
		"brand.public.site":           func(t *Tenant) { t.Brand.Public.Site = "http://www.example.jp/" },
		"brand.public.site ":          func(t *Tenant) { t.Brand.Public.Site = "javascript:alert(1)" },
		"brand.public.never_asks":     func(t *Tenant) { t.Brand.Public.NeverAsks = make([]string, 11) },
		"brand.public.never_asks[0]":  func(t *Tenant) { t.Brand.Public.NeverAsks = []string{""} },
		"brand.public.never_asks_en[": func(t *Tenant) { t.Brand.Public.NeverAsksEN = []string{strings.Repeat("a", 61)} },
	} {
		x := good()
		change(&x)
		err := errors.Join(x.Validate()...)
		if strings.TrimSpace(want) == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, strings.TrimSpace(want))
	}
	x := good()
	require.Equal(t, [2]string{"/s/mizu", "〇〇県水道局"}, [2]string{x.PublicPath(), x.OfficialName()})
	x.Issuer.Name = "〇〇県公営企業管理者"
	require.Equal(t, "〇〇県公営企業管理者", x.OfficialName())
	x.Brand.Public = Public{Hidden: true, Name: "〇〇県"}
	require.Equal(t, [2]string{"", "〇〇県"}, [2]string{x.PublicPath(), x.OfficialName()})
}
