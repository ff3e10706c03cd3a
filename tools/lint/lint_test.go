package lint

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/kakitome/kakitome/"

// rooms says what each room may import of ours, by prefix; the longest matching room counts. A room may always import
// what lies below itself. "*" is everything. What is not listed here may import nothing of ours.
var rooms = map[string][]string{
	clock:                   {},
	"engine/private":        {},
	"engine/tenant":         {},
	"engine/message":        {},
	"engine/store":          {"engine/private", "engine/message", "engine/tenant"},
	"engine/message/stored": {"engine/store", "engine/tenant", "engine/message"},
	"engine/carrier":        {"engine/private", "engine/tenant", "engine/message", "plugins/host", "plugins/proto"},
	"engine/document":       {"engine/store", "engine/tenant", "engine/message"},
	"engine/page":           {"engine/store", "engine/tenant", "engine/message", "engine/document", "engine/payment", "plugins/host", "plugins/proto"},
	"engine/sheet":          {"engine/intake", "engine/store", "engine/tenant", "engine/message", "engine/page", "engine/payment", "plugins/proto"},
	"engine/identity":       {"engine/private", "engine/store", "engine/tenant", "engine/message", "plugins/host", "plugins/proto"},
	"engine/payment":        {"engine/store", "engine/tenant", "engine/message", "engine/document", "plugins/host", "plugins/proto"},
	"engine/email":          {"engine/private", "engine/store", "engine/tenant", "engine/message", "engine/payment", "engine/page", "plugins/proto"},
	"engine/dlr":            {"engine/store", "engine/tenant", "engine/message", "engine/carrier", "smpp"},
	"engine/bind":           {"engine/private", "engine/tenant", "engine/message", "engine/carrier", "smpp"},
	"engine/dispatch":       {"engine/store", "engine/tenant", "engine/message", "engine/carrier", "engine/bind", "engine/dlr", "smpp"},
	"engine/intake":         {"engine/store", "engine/tenant", "engine/message", "engine/carrier", "engine/identity", "engine/payment", "engine/document", "engine/inbound/donotsend"},
	"engine/inbound":        {"engine/intake", "engine/callback", "engine/store", "engine/tenant", "engine/message", "engine/carrier", "smpp"},
	// engine/intake and engine/dispatch ask it, engine/inbound adds to it
	"engine/inbound/donotsend": {"engine/store", "engine/tenant", "engine/message", "engine/carrier"},
	"engine/campaign":          {"engine/intake", "engine/callback", "engine/store", "engine/tenant", "engine/message", "engine/carrier"},
	"engine/survey":            {"engine/intake", "engine/store", "engine/tenant", "engine/message"},
	"engine/followup":          {"engine/intake", "engine/payment", "engine/store", "engine/tenant", "engine/message", "engine/carrier"},
	"engine/callback":          {"engine/store", "engine/tenant", "engine/message", "engine/payment"},
	"engine/certificate":       {"engine/private", "engine/store", "engine/tenant", "engine/message", "engine/payment", "plugins/proto"},
	"engine/retention":         {"engine/store", "engine/tenant", "engine/message", "engine/payment", "engine/document", "engine/audit", "engine/intake"},
	"engine/api":               {"engine"},
	"linkserver":               {"engine", "plugins/host", "plugins/proto"},
	"admin":                    {"engine", "plugins/host", "plugins/proto"},
	"conf":                     {"engine", "linkserver", "admin", "plugins/host"},
	"plugins/proto":            {},
	"plugins/sdk":              {"plugins/proto"},
	"plugins/host":             {"plugins"},
	"plugins":                  {"plugins"},
	"smpp":                     {"smpp"},
	"tools":                    {"*"},
	"bench":                    {"*"},
	"":                         {"*"},
}

// clock is what every room of the program asks for the time; modules and SMPP, which write no time of day down, do not.
const clock = "engine/clock"

type pkg struct {
	ImportPath, Name, Dir              string
	Imports, TestImports, XTestImports []string
	GoFiles                            []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Name,Dir,Imports,TestImports,XTestImports,GoFiles", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	require.NoError(t, err)
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all = append(all, p)
	}
}

func room(path string) string {
	best := ""
	for r := range rooms {
		if within(path, r) && len(r) > len(best) {
			best = r
		}
	}
	return best
}

func within(path, room string) bool {
	return room != "" && (path == room || strings.HasPrefix(path, room+"/"))
}

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath+"/", module)
		from = strings.TrimSuffix(from, "/")
		r := room(from)
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, module)
			if !ours || within(to, from) || within(from, to) && r != "" {
				continue
			}
			allowed := within(to, r) && r != "" || to == clock && !within(from, "plugins") && !within(from, "smpp")
			for _, a := range rooms[r] {
				allowed = allowed || a == "*" || within(to, a)
			}
			if !allowed {
				t.Errorf("%s may not import %s", from, to)
			}
			if r != "" && r != "tools" && r != "bench" && (within(to, "tools") || within(to, "bench")) {
				t.Errorf("%s imports %s, which nothing imports", from, to)
			}
		}
	}
}

// TestProgramHoldsNoSimulator: the program itself contains no simulated carrier, handset or till.
func TestProgramHoldsNoSimulator(t *testing.T) {
	cmd := exec.Command("go", "list", "-deps", ".")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	require.NoError(t, err)
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		for _, no := range []string{"tools/", "smpp/smsc", "plugins/payment", "plugins/auth", "plugins/render", "plugins/sdk/"} {
			if strings.HasPrefix(dep, module+no) {
				t.Errorf("the program contains %s", dep)
			}
		}
	}
}

func TestEachPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		said := len(p.GoFiles) == 0
		for _, f := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.PackageClauseOnly|parser.ParseComments)
			require.NoError(t, err)
			said = said || file.Doc != nil && len(file.Doc.Text()) > 40
		}
		if !said {
			t.Errorf("package %s has no comment", p.ImportPath)
		}
	}
}

// TestOneClock: what is written down or compared with it is the time of engine/clock, which a fault run can set.
func TestOneClock(t *testing.T) {
	other := regexp.MustCompile(`\btime\.(Now\b|Until\()`)
	for _, p := range packages(t) {
		of := strings.Trim(strings.TrimPrefix(p.ImportPath+"/", module), "/")
		if within(of, clock) || of != "" && !within(of, "engine") && !within(of, "linkserver") && !within(of, "admin") {
			continue
		}
		for _, f := range p.GoFiles {
			data, err := os.ReadFile(filepath.Join(p.Dir, f))
			require.NoError(t, err)
			for line := range strings.Lines(string(data)) {
				if code, _, _ := strings.Cut(line, "//"); other.MatchString(code) {
					t.Errorf("%s/%s: engine/clock is the clock here: %s", of, f, strings.TrimSpace(line))
				}
			}
		}
	}
}

// TestNoSleepInTests: time in tests is testing/synctest's, or a condition that is waited for.
func TestNoSleepInTests(t *testing.T) {
	walk(t, func(path string, _ []byte) {
		if !strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "_bench_test.go") {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		bubble := false
		ast.Inspect(file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "synctest" {
					bubble = true
				}
			}
			return true
		})
		ast.Inspect(file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" && !bubble {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
					t.Errorf("%s: time.Sleep in a test", path)
				}
			}
			return true
		})
	})
}

// forbidden is what may not stand in the tree, each behind a part of it in lower case, which is looked for first: it is a hundred
// times as fast.
var forbidden = map[string]*regexp.Regexp{
	"todo":             regexp.MustCompile(`(?i)\bTODO\b`),
	"fixme":            regexp.MustCompile(`(?i)\bFIXME\b`),
	"xxx":              regexp.MustCompile(`(?i)\bXXX\b`),
	"/work/":           regexp.MustCompile(`/work/[a-z]`),
	"/root/":           regexp.MustCompile(`/root/[a-z]`),
	"/home/":           regexp.MustCompile(`/home/[a-z]`),
	"implemented":      regexp.MustCompile(`(?i)not (yet )?implemented`),
	"proxy.golang.org": regexp.MustCompile(`proxy\.golang\.org`),
	"registry.npmjs":   regexp.MustCompile(`registry\.npmjs`),
}

func TestNothingForeignStandsInTheTree(t *testing.T) {
	walk(t, func(path string, data []byte) {
		if strings.Contains(path, "tools/lint/") || strings.HasSuffix(path, ".sum") || bytes.IndexByte(data, 0) >= 0 || strings.Contains(path, "LICENSE") || strings.HasSuffix(path, ".pb.go") {
			return
		}
		small := bytes.ToLower(data)
		for part, re := range forbidden {
			if !bytes.Contains(small, []byte(part)) {
				continue
			}
			for i, line := range bytes.Split(data, []byte("\n")) {
				if m := re.Find(line); m != nil && !bytes.Contains(line, []byte("context.TODO")) {
					t.Errorf("%s:%d: %q", path, i+1, m)
				}
			}
		}
	})
}

// walk calls fn for each file that git tracks.
func walk(t *testing.T, fn func(path string, data []byte)) {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Skip("not a git checkout")
	}
	for _, name := range strings.Split(strings.TrimRight(string(out), "\x00"), "\x00") {
		path := filepath.Join("../..", name)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.NoError(t, err)
		fn(path, data)
	}
}
