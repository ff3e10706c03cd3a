// Samplecsv writes the sample campaigns, due 30 days from today:
//
//	go run ./tools/samplecsv        # conf/sample/suido.csv and conf/sample/suido_faulty.csv
//	go run ./tools/samplecsv DIR    # into another directory
package main

import (
	"bytes"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/kakitome/kakitome/conf/sample"
)

func main() {
	log.SetFlags(0)
	dir := "conf/sample"
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	for name, write := range map[string]func(io.Writer, time.Time) error{"suido.csv": sample.Suido, "suido_faulty.csv": sample.SuidoFaulty} {
		var b bytes.Buffer
		if err := write(&b, time.Now()); err != nil {
			log.Fatalf("samplecsv: %s: %v", name, err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644); err != nil {
			log.Fatal("samplecsv: ", err)
		}
	}
}
