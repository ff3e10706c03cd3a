package certificate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/engine/certificate/proof"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/engine/tenant"
	modules "github.com/kakitome/kakitome/plugins/proto"
)

// renderer draws the PDFs. One that cannot draw certificates refuses, and the file is there all the same.
const renderer = "render/standard"

// drawing is how long a PDF may take.
const drawing = 15 * time.Second

// Action is the word of the audit log.
const Action = "certificate.make"

// Detail is what the audit log says of a request.
func Detail(pdf, content bool) string {
	detail := "file"
	if pdf {
		detail = "pdf"
	}
	if content {
		detail += ", with content"
	}
	return detail
}

// PDF draws a certificate for people, in "ja" or "en". The file is what verifies: the PDF shows what it says, digests shortened.
func (c *Certificates) PDF(ctx context.Context, id tenant.ID, cert *proof.Certificate, lang string) ([]byte, error) {
	if c.o.Renders == nil {
		return nil, errors.New("there is no renderer")
	}
	if lang != "en" {
		lang = "ja"
	}
	t := c.o.Directory().Tenants[id]
	if t == nil {
		return nil, fmt.Errorf("there is no tenant %s", id)
	}
	ctx, cancel := context.WithTimeout(ctx, drawing)
	defer cancel()
	resp, err := c.o.Renders.Render(renderer).RenderDocument(ctx, &modules.RenderDocumentRequest{
		Call:     &modules.Call{Tenant: string(id), Instance: string(id), IdempotencyKey: "certificate-" + cert.Message, Now: timestamppb.New(cert.Made)},
		Document: Document(t, cert, lang),
	})
	if err != nil {
		return nil, fmt.Errorf("draw the certificate: %w", err)
	}
	if e := resp.Error; e != nil {
		return nil, fmt.Errorf("draw the certificate: %s %s: %s", e.Class, e.Field, e.Message)
	}
	return resp.Pdf, nil
}

// short is how many digits of a digest a PDF shows.
const short = 12

// Document is the model of a certificate's PDF.
func Document(t *tenant.Tenant, cert *proof.Certificate, lang string) *modules.Document {
	ja := lang == "ja"
	say := func(j, e string) string { return word{j, e}.in(ja) }
	report := proof.Verify(cert, proof.Options{})
	head := &cert.Streams[0].Events[0]
	d := &modules.Document{Kind: modules.DocumentKind_CERTIFICATE, Lang: lang, Title: head.Fields["no"], Logo: t.Brand.LogoPNG(), Created: timestamppb.New(cert.Made),
		Issuer: &modules.Issuer{Name: cmp.Or(t.Issuer.Name, t.Name), Address: t.Issuer.Address, Phone: cmp.Or(t.Issuer.Phone, t.Brand.Phone)},
		Lead:   say("下記のメッセージについて、当システムに記録された経過を証明します。", "This certifies what the system recorded of the message below."),
	}
	row := func(item, value string) {
		if value != "" {
			d.Rows = append(d.Rows, &modules.Row{Item: item, Value: value})
		}
	}
	row(say("送信者", "Sender"), cert.Tenant.Name)
	row(say("宛先（一部伏字）", "Recipient (masked)"), head.Fields["to"])
	row(say("管理番号", "Number"), head.Fields["no"])
	row(say("メッセージID", "Message id"), cert.Message)
	row(say("受付日時", "Accepted"), when(head.At))
	for _, part := range []struct{ name, ja, en string }{{proof.PartText, "本文のダイジェスト", "Digest of the text"}, {proof.PartPage, "ページ内容のダイジェスト", "Digest of the page"}} {
		row(say(part.ja, part.en), head.Fields[proof.ContentField(part.name)])
	}
	for _, o := range cert.Content {
		if o.Part == proof.PartText {
			row(say("本文（受付時）", "Text (as accepted)"), strings.ReplaceAll(o.Plain, "{url}", say("［期限付URL］", "[expiring link]")))
		}
	}
	d.Certificate = &modules.Certificate{Provisional: report.Open > 0}
	for i := range cert.Streams {
		s := &cert.Streams[i]
		part := &modules.CertificatePart{Title: say("メッセージの経過", "What happened to the message")}
		if s.Kind == "claim" {
			part.Title = say("請求・決済の経過", "What happened to the claim")
		}
		for n := range s.Events {
			e := &s.Events[n]
			part.Steps = append(part.Steps, &modules.CertificateStep{Number: e.N, At: timestamppb.New(e.At), What: cmp.Or(said(s.Kind, e.Type, ja), e.Type),
				Detail: shortDetail(e, ja), Digest: e.Digest.String()[:short]})
		}
		d.Certificate.Parts = append(d.Certificate.Parts, part)
	}
	d.Certificate.Proof = proven(cert, report, ja)
	d.Certificate.Notes = remarks(report, ja)
	return d
}

func when(at time.Time) string {
	return at.In(message.Tokyo).Format("2006/01/02 15:04:05.000 -07:00")
}

// proven is by what the record is proven: days, roots, keys, clocks.
func proven(cert *proof.Certificate, report *proof.Report, ja bool) []*modules.Row {
	say := func(j, e string) string { return word{j, e}.in(ja) }
	var all []*modules.Row
	row := func(item, value string) { all = append(all, &modules.Row{Item: item, Value: value}) }
	if report.Open > 0 {
		row(say("状態", "State"), fmt.Sprintf(say("暫定（%d件の記録は日次の締めの前です。署名済みルートはまだありません）", "Provisional: the day of %d events is not closed; there is no signed root yet"), report.Open))
	} else {
		row(say("状態", "State"), say("確定（すべての記録が署名済みの日次ルートに含まれます）", "Final: all events are in signed roots of days"))
	}
	told := map[string]bool{}
	for i := range cert.Streams {
		for _, d := range cert.Streams[i].Days {
			line, err := proof.ParseLine(d.Line)
			if err != nil || told[line.Day] {
				continue
			}
			told[line.Day] = true
			row(fmt.Sprintf(say("%s のルート", "Root of %s"), line.Day), line.Root.String())
			row(say("締めの時計", "Clock at closing"), when(line.Clock.At)+" "+line.Clock.Said(ja))
		}
	}
	row(say("作成時の時計", "Clock at making"), cert.Clock.Said(ja))
	for _, k := range cert.Keys {
		row(say("署名鍵", "Signing key"), k.ID)
	}
	return all
}

// remarks are how it is verified, and what it is not.
func remarks(report *proof.Report, ja bool) []string {
	if ja {
		all := []string{
			"検証方法: 同じメッセージの証明ファイル（JSON）を、どのコンピュータでもネットワークなしで「kakitome certificate verify -published 公開ファイル -key 公開鍵 ファイル」で検証できます。記録が1件でも変わっていれば、最初に変わった記録の番号・種類・日時が示されます。ダイジェストは先頭12桁です。",
			"本文などの内容は、保存期間の終了後に削除されても検証できます。",
			"この証明書は当システムの記録についての証明であり、郵便法に基づく内容証明・配達証明ではありません。",
		}
		if report.Open > 0 {
			all = append(all, "「暫定」の記録は、翌日の締めの後に作成し直すと確定します。")
		}
		return all
	}
	all := []string{
		"To verify: the certificate file (JSON) of the same message is checked on any machine, without a network, by \"kakitome certificate verify -published PUBLISHED -key KEYS FILE\". When an event was changed, the first one is named by number, type and time. Digests are shown by their first 12 digits.",
		"It also verifies after the content was erased at the end of its term.",
		"This certifies the system's own record. It is no certificate of the postal service.",
	}
	if report.Open > 0 {
		all = append(all, "What is provisional becomes final when the certificate is made again after the day was closed.")
	}
	return all
}

// Filename is the name under which a certificate is saved, without its ending.
func Filename(c *proof.Certificate) string { return "certificate-" + c.Message }
