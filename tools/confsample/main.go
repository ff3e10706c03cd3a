// Confsample prints conf/kakitome.sample.toml: the values of conf.Sample with the comments of the types they belong to.
//
//	go run ./tools/confsample > conf/kakitome.sample.toml
package main

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/kakitome/kakitome/conf"
)

func main() {
	log.SetFlags(0)
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprint(out, "# Kakitome: the configuration of one machine. Generated from the types in conf; `kakitome check FILE` checks yours.\n# Paths are absolute. Tenants, users, keys and sender profiles are not here: see `kakitome tenant apply`.\n")
	p := printer{out: out, docs: map[string]map[string]string{}}
	if err := p.table("", reflect.ValueOf(conf.Sample())); err != nil {
		log.Fatal("confsample: ", err)
	}
	if err := out.Flush(); err != nil {
		log.Fatal("confsample: ", err)
	}
}

type printer struct {
	out  *bufio.Writer
	docs map[string]map[string]string // package → "Type.Field" → comment
}

// table prints a struct: first its plain values, then its tables, as TOML wants it.
func (p *printer) table(prefix string, v reflect.Value) error {
	docs, err := p.docsOf(v.Type())
	if err != nil {
		return err
	}
	for _, tables := range []bool{false, true} {
		for i := range v.NumField() {
			f, val := v.Type().Field(i), v.Field(i)
			if isTable(val) != tables {
				continue
			}
			key, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
			doc := docs[v.Type().Name()+"."+f.Name]
			if !tables {
				p.comment(doc)
				fmt.Fprintf(p.out, "%s = %s\n", key, literal(val))
				continue
			}
			if err := p.tables(strings.TrimPrefix(prefix+"."+key, "."), doc, val); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *printer) tables(name, doc string, val reflect.Value) error {
	fmt.Fprintln(p.out)
	p.comment(doc)
	if val.Kind() == reflect.Struct {
		fmt.Fprintf(p.out, "[%s]\n", name)
		return p.table(name, val)
	}
	for i := range val.Len() {
		fmt.Fprintf(p.out, "[[%s]]\n", name)
		if err := p.table(name, val.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func isTable(v reflect.Value) bool {
	return v.Kind() == reflect.Struct || v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct
}

func literal(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = literal(v.Index(i))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// comment prints a Go comment as TOML, without the Go name at its start.
func (p *printer) comment(doc string) {
	for line := range strings.Lines(doc) {
		fmt.Fprintf(p.out, "# %s\n", strings.TrimSpace(line))
	}
}

// docsOf reads the comments on the fields of all structs in t's package.
func (p *printer) docsOf(t reflect.Type) (map[string]string, error) {
	if docs, ok := p.docs[t.PkgPath()]; ok {
		return docs, nil
	}
	docs := map[string]string{}
	p.docs[t.PkgPath()] = docs
	dir := strings.TrimPrefix(t.PkgPath(), path.Dir(reflect.TypeFor[conf.Config]().PkgPath())+"/")
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no Go files in %s: run it at the root of the repository", dir)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if st, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range st.Fields.List {
					for _, id := range f.Names {
						docs[spec.Name.Name+"."+id.Name] = f.Doc.Text() + f.Comment.Text()
					}
				}
			}
			return true
		})
	}
	return docs, nil
}
