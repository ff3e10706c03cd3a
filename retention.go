package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/kakitome/kakitome/engine/retention"
)

type retentionRequest struct {
	DryRun bool `json:"dry_run"`
}

// endContent sweeps now. What is reported is partial when err is set, and then it is in the log as well.
func (d *operatorDoor) endContent(ctx context.Context, in retentionRequest) (*retention.Report, error) {
	return d.retention.Sweep(ctx, in.DryRun)
}

func retentionCommand(ctx context.Context, args []string) error {
	fs := flags("retention")
	config, dry := fs.String("config", "", "configuration file of the engine"), fs.Bool("dry-run", false, "show what would end")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *config == "" || fs.NArg() > 0 {
		return errUsage
	}
	o, err := dialOperator(*config)
	if err != nil {
		return err
	}
	o.http.Timeout = 0 // a large day takes its time; an interrupt ends it, and the engine goes on within the hour
	var r retention.Report
	if err := o.call(ctx, "/retention", retentionRequest{*dry}, &r); err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "TENANT\tCLASS\tDAY\tTERM ENDED\tMESSAGES\tKEPT\tWAITS\n")
	late := 0
	for _, d := range r.Days {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%s\n", d.Tenant, d.Class, d.Day, d.Due.Format(time.DateOnly), d.Over, d.Kept, d.Waits)
		if d.Late {
			late++
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case len(r.Days) == 0 && r.Groups == 0 && r.Swept.Groups == 0:
		fmt.Println("nothing is past its term")
	case *dry:
		fmt.Println("nothing was changed (-dry-run)")
	default:
		fmt.Printf("swept %d groups, %d contents, %d MiB; %d files given back; %d groups to go\n",
			r.Swept.Groups, r.Swept.Boxes, r.Swept.Freed>>20, r.Files, r.Groups)
	}
	if late > 0 {
		return errors.New("some content is past its term by two days or more")
	}
	return nil
}
