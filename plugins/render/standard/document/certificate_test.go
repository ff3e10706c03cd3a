package document

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kakitome/kakitome/plugins/proto"
)

// deliveryCertificate has so many steps of the message, and two of its claim.
func deliveryCertificate(steps int, provisional bool) *proto.Document {
	began := time.Date(2026, 11, 28, 1, 13, 7, 123e6, time.UTC)
	step := func(i int, what, detail string) *proto.CertificateStep {
		return &proto.CertificateStep{Number: uint32(i), At: timestamppb.New(began.Add(time.Duration(i) * 97 * time.Minute)), What: what, Detail: detail, Digest: fmt.Sprintf("%012x", i*0x123456789)}
	}
	what := []string{"SMS受付", "キャリア確認", "SMS送信依頼", "SMS送信OK（携帯電話会社が受付）", "SMS送信完了（端末に到達）", "期限付URL開封", "本人認証の入力", "本人認証完了", "内容の閲覧", "回答"}
	detail := []string{"種別 legal_notice / 送信元 default", "携帯電話会社 docomo / 操作 range", "分割 1", "受付ID 0a1b2c3d4e5f60718293a4b5c6d7e8f9", "状態 DELIVRD", "", "段階 identity / 一致 true", "", "", ""}
	message := &proto.CertificatePart{Title: "メッセージの経過"}
	for i := range steps {
		message.Steps = append(message.Steps, step(i+1, what[i%len(what)], detail[i%len(what)]))
	}
	return &proto.Document{
		Kind: proto.DocumentKind_CERTIFICATE, Lang: "ja", Title: "20261128000000041", Created: timestamppb.New(began.AddDate(0, 0, 5)), Issuer: waterReceipt().Issuer,
		Lead: "下記のメッセージについて、当システムに記録された経過を証明します。",
		Rows: []*proto.Row{{Item: "送信者", Value: "〇〇県水道局"}, {Item: "宛先（一部伏字）", Value: "090-****-2345"}, {Item: "管理番号", Value: "20261128000000041"}, {Item: "本文のダイジェスト", Value: strings.Repeat("0123456789abcdef", 4)}},
		Certificate: &proto.Certificate{Provisional: provisional, Parts: []*proto.CertificatePart{message,
			{Title: "請求・決済の経過", Steps: []*proto.CertificateStep{step(1, "請求登録", "金額 7440 / 番号 2026-000001"), step(2, "入金（確報）", "入金額 7440")}}},
			Proof: []*proto.Row{{Item: "状態", Value: "確定（すべての記録が署名済みの日次ルートに含まれます）"}, {Item: "2026-11-28 のルート", Value: strings.Repeat("fedcba9876543210", 4)}, {Item: "締めの時計", Value: "時計は同期していませんでした（時刻源 ntp.example.jp）。時刻の正確さは確認できません。"}},
			Notes: []string{"検証方法: 証明ファイルを「kakitome certificate verify」で検証できます。"}},
	}
}

func TestCertificateOfDelivery(t *testing.T) {
	long := deliveryCertificate(24, true)
	long.Issuer.Name = strings.Repeat("とても長い名前の法律事務所", 4)
	long.Rows[0].Value = long.Issuer.Name
	long.Certificate.Parts[0].Steps[3].Detail = strings.Repeat("理由 とても長い理由 ", 20)
	conf := model.NewDefaultConfiguration()
	read := func(pdf []byte) string {
		tool, err := exec.LookPath("pdftotext")
		if err != nil {
			t.Skip("pdftotext is not installed")
		}
		cmd := exec.Command(tool, "-layout", "-", "-")
		cmd.Stdin = bytes.NewReader(pdf)
		out, err := cmd.Output()
		require.NoError(t, err)
		return strings.Join(strings.Fields(string(out)), " ")
	}
	for _, c := range []struct {
		d     *proto.Document
		pages int
	}{{deliveryCertificate(5, false), 1}, {long, 2}} {
		pdf := draw(t, c.d)
		require.Equal(t, pdf, draw(t, c.d), "the same model, the same bytes")
		require.NoError(t, api.Validate(bytes.NewReader(pdf), conf))
		pages, err := api.PageCount(bytes.NewReader(pdf), conf)
		require.NoError(t, err)
		require.LessOrEqual(t, pages, c.pages)
		require.Equal(t, c.pages > 1, pages > 1)
		text := read(pdf)
		for _, want := range []string{"090-****-2345", "2026/11/28", "11:50:07.123 +09:00", "端末に到達", "fedcba9876543210", "時計は同期していませんでした"} {
			require.Contains(t, text, want)
		}
		require.Regexp(t, fmt.Sprintf("1 ?/ ?%d", pages), text)
		require.Equal(t, c.d.Certificate.Provisional, strings.Contains(text, "配達証明書（暫定）"))
	}
	d := deliveryCertificate(1, false)
	d.Certificate = nil
	_, refused := Render(d)
	require.Equal(t, "certificate.parts", refused.Field)
}
