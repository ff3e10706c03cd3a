package proof

import (
	"fmt"
	"time"
)

// Told says a report without a fault in words, a line each: what was found and what is open.
func (r *Report) Told(c *Certificate, japanese bool) []string {
	say := func(ja, en string, args ...any) string {
		if japanese {
			return fmt.Sprintf(ja, args...)
		}
		return fmt.Sprintf(en, args...)
	}
	no := c.Streams[0].Events[0].Fields["no"]
	lines := []string{
		say("メッセージ %s（管理番号 %s）、送信者 %s", "message %s (no. %s), sent by %s", c.Message, no, c.Tenant.Name),
		say("記録 %d 件: 変更なし", "%d events: unchanged", r.Closed+r.Open),
	}
	if r.Closed > 0 {
		lines = append(lines, say("うち %d 件は署名済みの日次ルートに含まれています", "%d of them are in the signed roots of their days", r.Closed))
	}
	if r.Open > 0 {
		lines = append(lines, say("暫定: %d 件は日次の締めの前です（鎖のみ、署名済みルートなし）", "provisional: the day of %d is not closed yet (a chain, no signed root)", r.Open))
	}
	for _, part := range r.Contents {
		lines = append(lines, say("内容（%s）: 受付時のものと一致", "content (%s): as it was accepted", part))
	}
	if !r.Signed {
		lines = append(lines, say("証明書自体に署名がありません", "the certificate itself is not signed"))
	}
	for _, k := range c.Keys {
		if !r.Trusted {
			lines = append(lines, say("鍵 %s は証明書に付属のものです。発行者が公開している公開鍵を -key で与えてください", "key %s came with the certificate: give the issuer's published keys with -key", k.ID))
		}
	}
	if r.Closed > 0 && !r.InFile {
		lines = append(lines, say("公開ファイルとは照合していません（-published）", "not compared with the published file (-published)"))
	}
	for i := range r.Clocks {
		clock := &r.Clocks[i]
		lines = append(lines, say("時計（%s 締め）: %s", "clock (day closed %s): %s", clock.At.UTC().Format(time.RFC3339), clock.Said(japanese)))
	}
	return append(lines, say("時計（証明書作成 %s）: %s", "clock (certificate made %s): %s", c.Made.UTC().Format(time.RFC3339), c.Clock.Said(japanese)))
}
