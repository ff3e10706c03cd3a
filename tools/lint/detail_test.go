package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/campaign"
	"github.com/kakitome/kakitome/engine/message"
)

// A problem says in its Detail what is wrong, in English, and engine/message (for rows of files, engine/campaign) has the Japanese of
// each. TestEveryDetailHasJapanese walks the source for all of them, so that none is written without.
func TestEveryDetailHasJapanese(t *testing.T) {
	dirs := map[string]bool{}
	require.NoError(t, filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && slices.Contains([]string{".git", "plugins", "tools", "bench", "smpp", "node_modules"}, d.Name()) {
			return filepath.SkipDir
		}
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			dirs[filepath.Dir(path)] = true
		}
		return err
	}))
	found := 0
	for dir := range dirs {
		s := readSource(t, dir)
		s.walk()
		for _, f := range s.unknown {
			t.Errorf("%s: where this Detail comes from cannot be seen: give a literal, a constant, or a parameter or variable that gets them", f)
		}
		for text, at := range s.found {
			found++
			if strings.ContainsFunc(english.ReplaceAllString(text, ""), lower) && !spoken(text) {
				t.Errorf("%s: %q has no Japanese: add it to engine/message/problem_text.go", at, text)
			}
		}
	}
	require.Greater(t, found, 150, "the walk has lost its way")
}

// english are words that are the same in both languages.
var english = regexp.MustCompile(`whsec_|JSON`)

func lower(r rune) bool { return unicode.Is(unicode.Latin, r) && unicode.IsLower(r) }

// spoken reports whether a reader of Japanese gets something else than the English words.
func spoken(text string) bool {
	f := campaign.Finding{Problem: message.Problem{Code: "?", Detail: text}}
	said := f.Text("ja")
	japanese := func(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han) }
	return said != text && (strings.ContainsFunc(said, japanese) || !strings.ContainsFunc(said, lower)) // or signs alone: 1〜100
}

// source is one package, read without types.
type source struct {
	t       *testing.T
	files   *token.FileSet
	parsed  []*ast.File
	values  map[string]ast.Expr // of the package's constants and variables
	found   map[string]token.Position
	unknown []token.Position
	seen    map[ast.Node]bool // parameters and variables that were followed
}

func readSource(t *testing.T, dir string) *source {
	s := &source{t: t, files: token.NewFileSet(), values: map[string]ast.Expr{}, found: map[string]token.Position{}, seen: map[ast.Node]bool{}}
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(s.files, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		s.parsed = append(s.parsed, f)
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range g.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok && len(v.Values) == len(v.Names) {
					for i, name := range v.Names {
						s.values[name.Name] = v.Values[i]
					}
				}
			}
		}
	}
	return s
}

// details are the types that have a Detail which a person reads as a problem's.
var details = []string{"Problem", "RefusedError", "ReportLine"}

func (s *source) walk() {
	for _, f := range s.parsed {
		for _, d := range f.Decls {
			ast.Inspect(d, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CompositeLit:
					if n.Type != nil && !slices.Contains(details, typeName(n.Type)) {
						return true
					}
					for _, e := range n.Elts {
						if kv, ok := e.(*ast.KeyValueExpr); ok && isName(kv.Key, "Detail") {
							s.take(kv.Value, d)
						}
					}
				case *ast.AssignStmt: // p.Detail = "…"
					for i, to := range n.Lhs {
						if sel, ok := to.(*ast.SelectorExpr); !ok || sel.Sel.Name != "Detail" || len(n.Rhs) != len(n.Lhs) {
							continue
						}
						if _, call := n.Rhs[i].(*ast.CallExpr); !call { // that of a line of a report, which is no problem, says sums
							s.take(n.Rhs[i], d)
						}
					}
				}
				return true
			})
		}
	}
	for name, values := range s.values { // words of a kind, as carrier.Reason
		if m, ok := values.(*ast.CompositeLit); ok && name == "reasonText" {
			for _, e := range m.Elts {
				s.take(e.(*ast.KeyValueExpr).Value, nil)
			}
		}
	}
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// take records the text of an expression; what is no text is followed within its declaration.
func (s *source) take(e ast.Expr, in ast.Decl) {
	if text, ok := s.text(e); ok {
		s.found[text] = s.files.Position(e.Pos())
		return
	}
	switch e := e.(type) {
	case *ast.Ident:
		if s.follow(e.Name, in) {
			return
		}
	case *ast.SelectorExpr:
		if e.Sel.Name == "Detail" { // taken where it was made
			return
		}
	case *ast.CallExpr:
		switch typeName(e.Fun) {
		case "Text", "GetMessage": // of carrier.Reason, looked at there; of modules, whose words engine/message knows
			return
		case "clip": // of modules, shortened
			return
		case "Error": // of a sentinel of the package
			if sel, ok := e.Fun.(*ast.SelectorExpr); ok {
				if made, ok := s.values[typeName(sel.X)].(*ast.CallExpr); ok && len(made.Args) == 1 {
					s.take(made.Args[0], in)
					return
				}
			}
		}
	}
	s.unknown = append(s.unknown, s.files.Position(e.Pos()))
}

var verb = regexp.MustCompile(`%[a-zA-Z]`)

// text is what an expression says, with an 8 for what is put in.
func (s *source) text(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.Ident:
		if v, ok := s.values[e.Name]; ok {
			return s.text(v)
		}
	case *ast.BinaryExpr:
		left, l := s.text(e.X)
		right, r := s.text(e.Y)
		if !l && !r {
			return "", false
		}
		if !l {
			left = "8"
		}
		if !r {
			right = "8"
		}
		return left + right, true
	case *ast.CallExpr:
		if typeName(e.Fun) == "Sprintf" {
			text, ok := s.text(e.Args[0])
			return verb.ReplaceAllString(text, "8"), ok
		}
	}
	return "", false
}

// follow takes what a parameter, a result or a variable of a declaration gets; false: it gets nothing that can be seen.
func (s *source) follow(name string, in ast.Decl) bool {
	fn, ok := in.(*ast.FuncDecl)
	if !ok {
		return false
	}
	if i := place(fn.Type.Params, name); i >= 0 {
		if s.seen[fn] {
			return true
		}
		s.seen[fn] = true
		for _, f := range s.parsed {
			for _, d := range f.Decls {
				s.calls(fn.Name.Name, i, d)
			}
		}
		return true
	}
	followed := false
	ast.Inspect(fn, func(n ast.Node) bool {
		as, ok := n.(*ast.AssignStmt)
		if !ok {
			return true
		}
		for k, to := range as.Lhs {
			if len(as.Lhs) != len(as.Rhs) { // name := f(…): what f returns
				call, ok := as.Rhs[0].(*ast.CallExpr)
				if ok && isName(to, name) {
					followed = s.results(typeName(call.Fun), k) || followed
				}
				continue
			}
			if isName(to, name) {
				followed = true
				if text, ok := s.text(as.Rhs[k]); !ok || text != "" {
					s.take(as.Rhs[k], in)
				}
			}
			if lit, ok := as.Rhs[k].(*ast.FuncLit); ok {
				if i := place(lit.Type.Params, name); i >= 0 {
					followed = true
					s.calls(typeName(to), i, in)
				}
			}
		}
		return true
	})
	return followed
}

// results takes the k-th result of a function of the package.
func (s *source) results(name string, k int) bool {
	for _, f := range s.parsed {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Name.Name != name {
				continue
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if r, ok := n.(*ast.ReturnStmt); ok && len(r.Results) > k {
					if text, ok := s.text(r.Results[k]); !ok || text != "" {
						s.take(r.Results[k], d)
					}
				}
				return true
			})
			return true
		}
	}
	return false
}

// calls takes the i-th argument of each call of a function within a declaration.
func (s *source) calls(name string, i int, in ast.Decl) {
	ast.Inspect(in, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok && typeName(c.Fun) == name && len(c.Args) > i {
			if text, ok := s.text(c.Args[i]); !ok || text != "" {
				s.take(c.Args[i], in)
			}
		}
		return true
	})
}

// place is which of the parameters has the name; -1: none.
func place(params *ast.FieldList, name string) int {
	i := 0
	for _, f := range params.List {
		for _, n := range f.Names {
			if n.Name == name {
				return i
			}
			i++
		}
	}
	return -1
}
