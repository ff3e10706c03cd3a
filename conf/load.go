package conf

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/kakitome/kakitome/engine/bind"
)

//go:embed kakitome.sample.toml
var sample []byte

// SampleTOML is the commented sample.
func SampleTOML() []byte { return sample }

// Fault is one thing that is wrong in a file. Line is 0 where the file does not mention the field at all.
type Fault struct {
	Line int
	Text string
}

// Faults is everything that is wrong in a file, by line.
type Faults struct {
	File string
	List []Fault
}

func (f *Faults) Error() string {
	lines := make([]string, len(f.List))
	for i, fault := range f.List {
		where := f.File
		if fault.Line > 0 {
			where += ":" + strconv.Itoa(fault.Line)
		}
		lines[i] = where + ": " + fault.Text
	}
	return strings.Join(lines, "\n")
}

// Load reads and validates a file. The error is *Faults with all that is wrong, or that of reading the file.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, data)
}

// parse reads a configuration. A value of the wrong type is a fault like others: it is blanked, and the rest is read.
func parse(path string, data []byte) (*Config, error) {
	faults := &Faults{File: path}
	var spoiled []string
	c, err := decode(data)
	var strict *toml.StrictMissingError // holds a DecodeError for each key
	var wrong *toml.DecodeError
	for !errors.As(err, &strict) && errors.As(err, &wrong) {
		line, _ := wrong.Position()
		key, rest := without(data, line)
		if key == "" { // not to be read at all
			faults.List = append(faults.List, Fault{line, strings.TrimPrefix(wrong.Error(), "toml: ")})
			return nil, faults
		}
		faults.List = append(faults.List, Fault{line, key + ": " + ourTypes.ReplaceAllString(strings.TrimPrefix(wrong.Error(), "toml: "), "")})
		spoiled, data = append(spoiled, key), rest
		c, err = decode(data)
	}
	switch {
	case strict != nil:
		for _, e := range strict.Errors {
			line, _ := e.Position()
			faults.List = append(faults.List, Fault{line, fmt.Sprintf("unknown key %q", strings.Join(e.Key(), "."))})
		}
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	fillBinds(c)
	lines, _ := keyLines(data)
	for _, e := range c.Validate() {
		if slices.ContainsFunc(spoiled, func(key string) bool { return lies(e.Error(), key) }) {
			continue // said already
		}
		faults.List = append(faults.List, Fault{lineOf(lines, e.Error()), e.Error()})
	}
	if len(faults.List) > 0 {
		slices.SortStableFunc(faults.List, func(a, b Fault) int { return a.Line - b.Line })
		return nil, faults
	}
	return c, nil
}

func decode(data []byte) (*Config, error) {
	c := Default()
	return &c, toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&c)
}

// ourTypes is what the decoder says of our types, which the operator does not know.
var ourTypes = regexp.MustCompile(`struct field \S+ of type `)

// without blanks the key and its value around a line, and returns the path of the key; "" when the file breaks off there
// or no value stands there.
func without(data []byte, line int) (key string, rest []byte) {
	lines, whole := keyLines(data)
	if !whole {
		return "", nil
	}
	start, end := 0, math.MaxInt
	for path, n := range lines {
		if n <= line && n > start {
			start, key = n, path
		}
	}
	for _, n := range lines {
		if n > start {
			end = min(end, n)
		}
	}
	n := 0
	for text := range bytes.Lines(data) {
		n++
		switch {
		case n < start || n >= end:
			rest = append(rest, text...)
		case n == start && (text[0] == '[' || len(bytes.TrimSpace(text)) == 0):
			return "", nil // a table that stands there twice
		default:
			rest = append(rest, '\n')
		}
	}
	if len(rest) >= len(data) {
		return "", nil // nothing of it was found: what is a line is seen differently
	}
	return key, rest
}

// lies reports whether the field that a fault's text begins with is key or lies in it.
func lies(text, key string) bool {
	rest, ok := strings.CutPrefix(text, key)
	return ok && rest != "" && strings.ContainsRune(":.[", rune(rest[0]))
}

// fillBinds gives binds the defaults of what they leave out: TOML cannot tell 0 from absent in an array of tables.
func fillBinds(c *Config) {
	for i := range c.Binds {
		b := &c.Binds[i]
		d := bind.Default()
		if b.Window == 0 {
			b.Window = d.Window
		}
		if b.EnquireLink == 0 {
			b.EnquireLink = d.EnquireLink
		}
		if b.Response == 0 {
			b.Response = d.Response
		}
	}
}

// lineOf finds the line of the field that a fault's text begins with, or of the nearest table around it.
func lineOf(lines map[string]int, text string) int {
	path, _, _ := strings.Cut(text, ": ")
	for path != "" {
		if n, ok := lines[path]; ok {
			return n
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 0
}

// keyLines maps the path of each key and table ("bind[1].name") to its line. It reports whether it came to the end.
func keyLines(data []byte) (map[string]int, bool) {
	lines := map[string]int{}
	count := map[string]int{}
	table := ""
	var p unstable.Parser
	p.Reset(data)
	for p.NextExpression() {
		e := p.Expression()
		path, line := "", 0
		for it := e.Key(); it.Next(); {
			n := it.Node()
			if line == 0 {
				line = p.Shape(n.Raw).Start.Line
			}
			path = join(path, string(n.Data))
			if i, ok := count[path]; ok && e.Kind != unstable.KeyValue && !it.IsLast() {
				path += fmt.Sprintf("[%d]", i-1)
			}
		}
		switch e.Kind {
		case unstable.ArrayTable:
			i := count[path]
			count[path]++
			table = fmt.Sprintf("%s[%d]", path, i)
			path = table
		case unstable.Table:
			table = path
		case unstable.KeyValue:
			path = join(table, path)
		}
		lines[path] = line
	}
	return lines, p.Error() == nil
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "." + b
}
