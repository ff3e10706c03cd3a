package tenant

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

func otherSettings() Settings {
	return Settings{Name: "書留水道局", NameEN: "Kakitome Water", Public: Public{Hidden: true, Name: "正式名称", Site: "https://example.jp/", NeverAsks: []string{"暗証番号", "カード番号"}, NeverAsksEN: []string{"PINs"}},
		PrePage: PrePage{Notice: "ご案内", NoticeEN: "Notice", Skip: true}, PaidSMS: PaidSMS{When: PaidOnConfirmed, Template: "thanks", Sender: "default"},
		Templates: []Template{{"bill", "請求です。{url}"}, {"thanks", "入金を確認しました。{link}"}}, Identity: Chain{Fields: []string{"birth_date"}, Code: true},
		KanaLevel: "L3", CodeDigits: 4, BirthYears: 60, SplitName: true, MaxSegments: 3, TokenLength: 12, PastNotices: 6, ClaimMenu: true, StopWords: []string{"不要"}, Excluded: []string{"住宅ローン"}, Canary: 30,
		Labels: Labels{LabelStatus: {"delivered": "到達"}, LabelOutcome: {"paid": "入金済み"}}, LabelsEN: Labels{LabelAccess: {AccessNone: "Unread"}}}
}

// leaves calls f with each field that is no struct, and where it stands.
func leaves(v reflect.Value, at []int, f func(at []int)) {
	for i := range v.NumField() {
		if here := append(at[:len(at):len(at)], i); v.Field(i).Kind() == reflect.Struct {
			leaves(v.Field(i), here, f)
		} else {
			f(here)
		}
	}
}

// Each setting is kept by the definition, is told as one difference, and moves the tag.
func TestEachSettingIsKeptAndTold(t *testing.T) {
	to, told := reflect.ValueOf(otherSettings()), map[string]bool{}
	def := Tenant{ID: "suido", Brand: Brand{Phone: "000-000-0000"}, Policy: Policy{RatePerSec: 5}}
	was := def.Settings()
	leaves(to, nil, func(at []int) {
		next := def.Settings()
		reflect.ValueOf(&next).Elem().FieldByIndex(at).Set(to.FieldByIndex(at))
		diff := was.Diff(&next)
		require.Len(t, diff, 1, at)
		told[diff[0].Field] = true
		require.NotEqual(t, was.Tag(), next.Tag())
		changed := def.With(next)
		require.Equal(t, next, changed.Settings())
		require.Equal(t, &def, changed.With(was), "nothing else changes")
	})
	for _, name := range SettingFields() {
		require.True(t, told[name], name)
	}
}

func TestSettingsOfAnEarlierScreenAreRefused(t *testing.T) {
	d := open(t, &memoryLog{})
	require.NoError(t, d.Apply(t.Context(), water()))
	now := func() Settings { return d.Now().Tenants["suido"].Settings() }
	seen, next := now(), now()
	next.PrePage.Notice = "ご案内"
	var done atomic.Int32
	set := func(was string, next Settings) error {
		return d.SetSettings(t.Context(), "suido", was, next, func(diff []Difference) error { done.Add(1); return nil })
	}
	require.NoError(t, set(seen.Tag(), next))
	other := seen
	other.SplitName = true
	require.ErrorIs(t, set(seen.Tag(), other), ErrStale)
	require.Equal(t, int32(1), done.Load(), "what is refused is not recorded")
	require.Equal(t, "ご案内", now().PrePage.Notice)
	require.False(t, now().SplitName)

	bad := now()
	bad.CodeDigits, bad.PaidSMS.When = 3, "never"
	err := set(bad.Tag(), now())
	require.ErrorIs(t, err, ErrStale)
	seen = now()
	err = set(seen.Tag(), bad)
	require.ErrorContains(t, err, "policy.code_digits: 3 must be 4 to 8")
	require.ErrorContains(t, err, "paid_sms.when")
	require.Error(t, d.SetSettings(t.Context(), "none", "", bad, nil))

	// of many at once one is done
	seen = now()
	done.Store(0)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			mine := seen
			mine.PastNotices = i + 1
			if err := set(seen.Tag(), mine); err != nil {
				require.ErrorIs(t, err, ErrStale)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int32(1), done.Load())
}

// The words of every fault stand in the source as literals; each has its Japanese.
func TestEveryFaultHasJapanese(t *testing.T) {
	files := token.NewFileSet()
	found := map[string]bool{}
	look := func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 {
			return true
		}
		if name, ok := call.Fun.(*ast.Ident); !ok || name.Name != "bad" {
			return true
		}
		lit, ok := call.Args[1].(*ast.BasicLit)
		require.True(t, ok, "%s: give a literal", files.Position(call.Pos()))
		format, err := strconv.Unquote(lit.Value)
		require.NoError(t, err)
		found[format] = true
		return true
	}
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range names {
		if !strings.HasSuffix(name, "_test.go") {
			f, err := parser.ParseFile(files, name, nil, 0)
			require.NoError(t, err)
			ast.Inspect(f, look)
		}
	}
	require.Greater(t, len(found), 25)
	for format := range found {
		if format == "%v" || format == "%q %s" {
			continue
		}
		ja := faultWords[format]
		require.True(t, strings.ContainsFunc(ja, func(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Han) }), "%q has no Japanese: add it to fault.go", format)
		verbs := func(s string) int { return strings.Count(s, "%") }
		require.Equal(t, verbs(format), verbs(ja), format)
	}
	for format := range faultWords {
		require.True(t, found[format], "%q is said nowhere", format)
	}
}
