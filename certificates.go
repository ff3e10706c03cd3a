package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/kakitome/kakitome/engine/audit"
	"github.com/kakitome/kakitome/engine/certificate"
	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/clock"
	"github.com/kakitome/kakitome/engine/tenant"
)

// The commands of certificates of delivery. Verify needs neither configuration nor engine.

func certificateKeyCommand(_ context.Context, args []string) error {
	fs := flags("certificate key new")
	rotate := fs.Bool("rotate", false, "replace the key that is there; its public key stays listed")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return errUsage
	}
	path := fs.Arg(0)
	k, err := proof.NewKey(path, *rotate, clock.Now())
	if err != nil {
		return err
	}
	fmt.Println(k)
	fmt.Fprintf(os.Stderr, "%s: keep it where only the engine reads it\n%s: all public keys; publish it beside the published file\n", path, proof.PublicFile(path))
	return nil
}

type certificateRequest struct {
	Message string `json:"message"`
	PDF     bool   `json:"pdf"`
	Content bool   `json:"content"`
	Lang    string `json:"lang"`
}

type certificateAnswer struct {
	File []byte `json:"file"`
	Open int    `json:"open"` // events whose day is not closed
}

func (d *operatorDoor) makeCertificate(ctx context.Context, in certificateRequest) (out certificateAnswer, err error) {
	ref, err := d.certificates.Find(ctx, tenant.Operator(), in.Message)
	if err != nil {
		return out, fmt.Errorf("message %s: %w", in.Message, err)
	}
	if err := d.audit.Record(ctx, ref.Tenant, audit.Entry{By: "operator", Action: certificate.Action, Target: ref.ID.String(), Detail: certificate.Detail(in.PDF, in.Content)}); err != nil {
		return out, err
	}
	c, err := d.certificates.Make(ctx, tenant.Only(ref.Tenant), ref, in.Content)
	if err != nil {
		return out, err
	}
	out.Open = proof.Verify(c, proof.Options{}).Open
	if in.PDF {
		out.File, err = d.certificates.PDF(ctx, ref.Tenant, c, in.Lang)
	} else {
		out.File, err = c.Encode()
	}
	return out, err
}

func certificateMakeCommand(ctx context.Context, args []string) error {
	fs := flags("certificate make")
	config, to := fs.String("config", "", "configuration file of the engine"), fs.String("o", "", "file to be made; standard output without it")
	in := certificateRequest{}
	fs.BoolVar(&in.PDF, "pdf", false, "the PDF for people instead of the file that verifies")
	fs.BoolVar(&in.Content, "content", false, "open text and page, which everybody who gets the file can then read")
	fs.StringVar(&in.Lang, "lang", "ja", "language of the PDF: ja or en")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *config == "" || fs.NArg() != 1 {
		return errUsage
	}
	in.Message = fs.Arg(0)
	o, err := dialOperator(*config)
	if err != nil {
		return err
	}
	var out certificateAnswer
	if err := o.call(ctx, "/certificates", in, &out); err != nil {
		return err
	}
	if out.Open > 0 {
		fmt.Fprintf(os.Stderr, "provisional (暫定): the day of %d events is not closed yet\n", out.Open)
	}
	if *to == "" {
		_, err = os.Stdout.Write(out.File)
		return err
	}
	f, err := os.OpenFile(*to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(out.File)
	return errors.Join(err, f.Close())
}

// judgement is what verify found, as an exit code.
type judgement struct {
	code int
	text string
}

func (j *judgement) Error() string { return j.text }

func certificateVerifyCommand(_ context.Context, args []string) error {
	fs := flags("certificate verify")
	published, key := fs.String("published", "", "the published file of all days"), fs.String("key", "", "public keys that you trust, as `certificate key new` prints them")
	lang := fs.String("lang", "", "ja or en; else as LANG says")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() != 1 {
		return errUsage
	}
	ja := *lang == "ja" || *lang == "" && japanese()
	var o proof.Options
	if *key != "" {
		data, err := readUpTo(*key, 1<<20)
		if err != nil {
			return err
		}
		if o.Keys, err = proof.ParseKeys(data); err != nil {
			return fmt.Errorf("%s: %w", *key, err)
		}
		if len(o.Keys) == 0 {
			return fmt.Errorf("%s holds no key", *key)
		}
	}
	if *published != "" {
		data, err := readUpTo(*published, proof.MaxPublished)
		if err != nil {
			return err
		}
		if o.Published, err = proof.ParsePublished(data); err != nil {
			return changed(err, ja)
		}
	}
	data, err := readUpTo(fs.Arg(0), proof.MaxFile)
	if err != nil {
		return err
	}
	c, err := proof.Parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", fs.Arg(0), err)
	}
	r := proof.Verify(c, o)
	if r.Fault != nil {
		return changed(r.Fault, ja)
	}
	for _, line := range r.Told(c, ja) {
		fmt.Println(line)
	}
	if !r.Whole() {
		return &judgement{3, map[bool]string{true: "改ざんは見つかりませんが、確認できていない点があります（上記）", false: "nothing was changed, but something is open (see above)"}[ja]}
	}
	return nil
}

func changed(err error, ja bool) error {
	return &judgement{4, map[bool]string{true: "改ざん、または破損: ", false: "CHANGED: "}[ja] + err.Error()}
}

func readUpTo(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return data, err
}
