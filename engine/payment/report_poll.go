package payment

import (
	"context"
	"encoding/csv"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kakitome/kakitome/engine/tenant"
)

const (
	reportEvery = 30 * time.Second
	reportQuiet = 10 * time.Second // a file that changed since may still be written
)

// pollReports reads the files below Config.Reports, <tenant>/<agent>/<file>, until ctx ends. A file that was read is moved to done
// beside it, one that could not be to failed, each with <file>.result.csv: what became of each line. One whose module or store
// was not there stays and is tried again.
func (p *Payments) pollReports(ctx context.Context) {
	for ctx.Err() == nil {
		if err := p.readReports(ctx); err != nil {
			p.log.Error("read reports", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(reportEvery):
		}
	}
}

func (p *Payments) readReports(ctx context.Context) error {
	files, err := filepath.Glob(filepath.Join(p.c.Reports, "*", "*", "*"))
	if err != nil {
		return err
	}
	for _, path := range files {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(info.Name(), ".") || p.now().Sub(info.ModTime()) < reportQuiet {
			continue
		}
		agent := filepath.Base(filepath.Dir(path))
		t := p.opt.Directory().Tenants[tenant.ID(filepath.Base(filepath.Dir(filepath.Dir(path))))]
		if t == nil {
			continue
		}
		if err := p.readReport(ctx, t, agent, path, info); err != nil {
			p.log.Error("read report", "tenant", t.ID, "agent", agent, "err", err)
		}
	}
	return nil
}

func (p *Payments) readReport(ctx context.Context, t *tenant.Tenant, agent, path string, info fs.FileInfo) error {
	var lines []ReportLine
	var faults ReportFaults
	to := "done"
	if info.Size() > MaxReport {
		faults = ReportFaults{{Result: reportUnreadable, Detail: detailTooLarge}}
	} else {
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		lines, err = p.Report(ctx, t, ReportFile{Agent: agent, Name: info.Name(), By: "operator", Body: body})
		if err != nil && !errors.As(err, &faults) {
			return err
		}
	}
	if faults != nil {
		to, lines = "failed", faults
	}
	dir := filepath.Join(filepath.Dir(path), to)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	name := filepath.Join(dir, info.Name())
	if err := writeResult(name+".result.csv", lines); err != nil {
		return err
	}
	p.log.Info("report read", "tenant", t.ID, "agent", agent, "lines", len(lines), "result", to)
	return os.Rename(path, name)
}

func writeResult(path string, lines []ReportLine) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := csv.NewWriter(f)
	_ = w.Write([]string{"line", "result", "claim", "yen", "detail"})
	for _, l := range lines {
		_ = w.Write([]string{strconv.FormatUint(uint64(l.Line), 10), l.Result, l.Claim, strconv.FormatInt(l.Yen, 10), l.Detail})
	}
	w.Flush() // gives the first error of all writes
	return errors.Join(w.Error(), f.Sync(), f.Close())
}
