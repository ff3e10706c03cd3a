// Kakitome does registered mail over SMS: see README.md for what that is and ARCHITECTURE.md for how it is built.
//
// The root holds the program: its subcommands (main.go), the wiring and the order of start and stop (serve.go), the
// operator's socket and the commands that use it (operator.go, commands.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/kakitome/kakitome/engine/tenant"
)

// version is set by the Makefile: -ldflags "-X main.version=…".
var version = "dev"

// command is one subcommand. run gets what follows its name.
type command struct {
	name, usage, help string
	run               func(ctx context.Context, args []string) error
}

// commands in the order in which the help shows them.
func commands() []command {
	return []command{
		{"serve", "-config FILE", "run the engine in the foreground", serveCommand},
		{"check", "FILE", "report all faults of a configuration, with line numbers", checkCommand},
		{"config sample", "", "print a commented configuration", sampleCommand},
		{"key new", "FILE", "make a master key file", keyNewCommand},
		{"key rotate", "-config FILE", "wrap all data keys under a new master key, the engine running or not", keyRotateCommand},
		{"key check", "-config FILE", "unwrap every data key and say which master key it needs", keyCheckCommand},
		{"backup", "-config FILE -keys FILE [-rate MIB] DIR", "copy the record of a running or stopped engine", backupCommand},
		{"restore", "-config FILE -keys FILE [-to DATADIR] [-waiting FILE.csv] [-anyway] DIR|RECORD", "make a data directory of a backup, and verify it", restoreCommand},
		{"verify", "-config FILE [-dir DATADIR] [-most N]", "compare everything in a stopped engine's data with everything else", verifyCommand},
		{"rebuild", "-config FILE", "make everything derived anew from the log of a stopped engine", rebuildCommand},
		{"upgrade", "-config FILE [-backup DIR]", "bring a stopped engine's data to the format of this program", upgradeCommand},
		{"retention", "-config FILE [-dry-run]", "end content whose term is over, now instead of within the hour, or show what would end", retentionCommand},
		{"certificate key new", "[-rotate] FILE", "make the key that signs the days of certificates, or replace it", certificateKeyCommand},
		{"certificate make", "-config FILE [-pdf] [-content] [-lang ja|en] [-o FILE] MESSAGE", "make the certificate of delivery of a message, by its number or id", certificateMakeCommand},
		{"certificate verify", "[-published FILE] [-key FILE.pub] [-lang ja|en] FILE", "check a certificate, anywhere; exit code 0 whole, 3 something is open, 4 changed", certificateVerifyCommand},
		{"module checksum", "FILE…", "print the checksums that pin modules", checksumCommand},
		{"status", "-config FILE", "binds, modules and doors of the running engine", statusCommand},
		{"reload", "-config FILE", "put carriers, ranges, binds and rules of the file into use, without a stop", reloadCommand},
		{"carrier status", "-config FILE", "what each carrier's binds do", carrierStatusCommand},
		{"carrier pause", "-config FILE CARRIER", "submit nothing to a carrier; its binds stay up for receipts", holdCommand(tenant.Paused)},
		{"carrier drain", "-config FILE CARRIER", "let a carrier's binds finish and unbind", holdCommand(tenant.Drained)},
		{"carrier resume", "-config FILE CARRIER", "end a pause or drain", holdCommand(tenant.Released)},
		{"carrier try", "-config FILE -from ADDRESS [-text TEXT] [-wait 1m] CARRIER NUMBER", "send one SMS on a bind of its own and say which id_rule fits", carrierTryCommand},
		{"tenant apply", "-config FILE [-dry-run] TENANT.toml", "define or change a tenant", tenantApplyCommand},
		{"user set", "-config FILE -tenant ID -login LOGIN -role ROLE [-name NAME]", "add a user or give a new password, printed once", userSetCommand},
		{"apikey issue", "-config FILE -tenant ID -name NAME", "make an API key, printed once", keyIssueCommand},
		{"apikey revoke", "-config FILE -tenant ID -key KEYID", "end an API key", keyRevokeCommand},
		{"send", "-api URL -key-file FILE [-dry-run] [-yes] FILE.csv", "upload a CSV file as a client of the API", sendCommand},
		{"version", "", "print the version", func(context.Context, []string) error { fmt.Println("kakitome", version); return nil }},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, os.Args[1:])
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		usage(os.Stderr)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "kakitome:", err)
		code := 1
		if some := (*partly)(nil); errors.As(err, &some) {
			code = 3
		}
		if told := (*judgement)(nil); errors.As(err, &told) {
			code = told.code
		}
		os.Exit(code)
	}
}

var errUsage = errors.New("usage")

func run(ctx context.Context, args []string) error {
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && slices.Equal(args[:len(words)], words) {
			return c.run(ctx, args[len(words):])
		}
	}
	if len(args) == 1 && (args[0] == "help" || args[0] == "-h" || args[0] == "--help") {
		usage(os.Stdout)
		return nil
	}
	return errUsage
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "Kakitome, registered mail over SMS.\n\nUsage:")
	for _, c := range commands() {
		fmt.Fprintf(w, "  kakitome %s %s\n        %s\n", c.name, c.usage, c.help)
	}
}

// flags makes a flag set that reports its errors once, through run.
func flags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet("kakitome "+name, flag.ContinueOnError)
	fs.SetOutput(os.Stderr)
	return fs
}
