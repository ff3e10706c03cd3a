package conf

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
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

func parse(path string, data []byte) (*Config, error) {
	c := Default()
	faults := &Faults{File: path}
	dec := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields()
	err := dec.Decode(&c)
	var strict *toml.StrictMissingError
	var syntax *toml.DecodeError
	switch {
	case errors.As(err, &strict):
		for _, e := range strict.Errors {
			line, _ := e.Position()
			faults.List = append(faults.List, Fault{line, fmt.Sprintf("unknown key %q", strings.Join(e.Key(), "."))})
		}
	case errors.As(err, &syntax):
		line, _ := syntax.Position()
		faults.List = append(faults.List, Fault{line, strings.TrimPrefix(syntax.Error(), "toml: ")})
		return nil, faults
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	fillBinds(&c)
	lines := keyLines(data)
	for _, e := range c.Validate() {
		faults.List = append(faults.List, Fault{lineOf(lines, e.Error()), e.Error()})
	}
	if len(faults.List) > 0 {
		slices.SortStableFunc(faults.List, func(a, b Fault) int { return a.Line - b.Line })
		return nil, faults
	}
	return &c, nil
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

// keyLines maps the path of each key and table ("bind[1].name") to its line.
func keyLines(data []byte) map[string]int {
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
	return lines
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "." + b
}
