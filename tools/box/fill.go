package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// login is a user of the box with the password that was just made.
type login struct{ role, name, password string }

// fill defines the tenant, and makes its users and an API key unless an earlier start did: then there are no logins.
func (b *box) fill(ctx context.Context) ([]login, error) {
	conf := filepath.Join(b.dir, "kakitome.toml")
	if err := b.kakitome(ctx, nil, "tenant", "apply", "-config", conf, filepath.Join(b.dir, "suido.toml")); err != nil {
		return nil, err
	}
	if done(b.secret("api.key")) { // the last thing that is made
		return nil, nil
	}
	logins := []login{{"operator", "operator", ""}, {"admin", "suido-admin", ""}, {"sender", "suido-tanto", ""}, {"viewer", "suido-etsuran", ""}}
	for i := range logins {
		l := &logins[i]
		id := "suido"
		if l.role == "operator" {
			id = "operator"
		}
		var out bytes.Buffer
		if err := b.kakitome(ctx, &out, "user", "set", "-config", conf, "-tenant", id, "-login", l.name, "-role", l.role, "-name", l.name); err != nil {
			return nil, err
		}
		l.password = strings.TrimSpace(out.String())
	}
	var key bytes.Buffer
	if err := b.kakitome(ctx, &key, "apikey", "issue", "-config", conf, "-tenant", "suido", "-name", fmt.Sprint("box-", time.Now().Unix())); err != nil {
		return nil, err
	}
	return logins, write(b.secret("api.key"), key.Bytes())
}

// tell says where to look.
func (b *box) tell(logins []login, took time.Duration) {
	fmt.Printf("\nKakitome is running (%.1f s). ^C stops it.\n\n", took.Seconds())
	fmt.Printf("  Console   コンソール    %s/\n", b.url(portConsole))
	for _, l := range logins {
		fmt.Printf("            %-9s     %-14s %s\n", l.role, l.name, l.password)
	}
	if logins == nil {
		fmt.Printf("            (passwords were printed once, at the first start; a new one:\n             bin/kakitome user set -config %s -tenant suido -login suido-admin -role admin)\n", filepath.Join(b.dir, "kakitome.toml"))
	}
	fmt.Printf("  Handsets  携帯電話      %s/\n", b.url(portHandsets))
	fmt.Printf("  Till      店舗のレジ    %s/till\n", b.url(portTill))
	fmt.Printf("  API                     %s/v1/   key: %s\n", b.url(portAPI), b.secret("api.key"))
	fmt.Printf("  Metrics                 %s/metrics\n\n", b.url(portOperator))
}

// campaign sends the sample campaign, with due dates that are still to come, unless an earlier start did. One that a stop
// cut off goes on with the same file.
func (b *box) campaign(ctx context.Context) error {
	file, sent := filepath.Join(b.dir, "suido.csv"), filepath.Join(b.dir, "suido.csv.sent")
	if done(sent) {
		return nil
	}
	cutOff := done(file)
	if !cutOff {
		sample := exec.CommandContext(ctx, filepath.Join(b.bin, "samplecsv"), b.dir)
		if out, err := sample.CombinedOutput(); err != nil {
			return fmt.Errorf("write the sample campaign: %w\n%s", err, out)
		}
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "kakitome"), "send", "-api", b.url(portAPI), "-key-file", b.secret("api.key"), "-yes", file)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "LANG=ja_JP.UTF-8")
	err := cmd.Run()
	if cutOff && err != nil && cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == refusedTwin {
		err = nil // only the mark was missing
	}
	if err != nil {
		return fmt.Errorf("send the sample campaign: %w\n%s", err, &out)
	}
	if err := write(sent, nil); err != nil {
		return err
	}
	fmt.Printf("  Sample campaign sent: %s\n\n", file)
	return nil
}

// refusedTwin is how `kakitome send` ends when it was sent before: a row of the sample has no other fault.
const refusedTwin = 3

func done(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
