package web

import (
	"context"
	"html"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/identity"
	"github.com/kakitome/kakitome/engine/message"
	"github.com/kakitome/kakitome/linkserver/journey"
)

var hanako = identity.Person{Name: "スイドウ ハナコ", Birth: "19980101", Phone: ownNumber}

// typed is the form of the shared entry, filled in.
func typed(p identity.Person) url.Values {
	return url.Values{"kana_name": {p.Name}, "birth_date": {p.Birth}, "phone": {p.Phone}}
}

// forHanako is a message that she finds at the shared entry.
func forHanako(title string) draft {
	items := []message.IdentityItem{{Field: "kana_name", Value: hanako.Name}, {Field: "birth_date", Value: hanako.Birth}}
	return draft{items: items, code: true, person: hanako, page: message.Page{Title: title}}
}

// newEntry is a world whose tenant has a shared entry page.
func newEntry(t *testing.T) *world {
	w := newWorld(t, DefaultConfig())
	water := *w.water()
	water.Entry.On = true
	w.must(w.tenants.Apply(t.Context(), water))
	return w
}

// entrance is a browser at the questions of the shared entry.
func (w *world) entrance() *browser {
	w.t.Helper()
	b := w.newBrowser()
	b.get("/e/water")
	b.submit("open", nil)
	return b
}

// arrived is a browser of somebody who has passed.
func (w *world) arrived(p identity.Person) *browser {
	w.t.Helper()
	b := w.entrance()
	b.submit("identify", typed(p))
	b.submit("code", url.Values{"code": {w.out.code()}})
	b.says("お知らせの一覧")
	return b
}

// pick presses the button of a message; false: it is not on the list.
func (b *browser) pick(m *sent) bool {
	for _, f := range formPattern.FindAllStringSubmatch(b.shown.body, -1) {
		if strings.Contains(f[2], `name="message" value="`+m.ref.ID.String()+`"`) {
			token := html.UnescapeString(tokenPattern.FindStringSubmatch(f[2])[1])
			b.post(f[1], url.Values{"form": {token}, "message": {m.ref.ID.String()}})
			return true
		}
	}
	return false
}

func (o *outbox) count() int {
	o.settle()
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.sent)
}

func TestSharedEntryIsThereOnlyWhereItIsWanted(t *testing.T) {
	w := newWorld(t, DefaultConfig())
	require.Equal(t, http.StatusNotFound, w.newBrowser().get("/e/water").status)
	w = newEntry(t)
	b := w.newBrowser()
	require.Equal(t, http.StatusNotFound, b.get("/e/nobody").status)
	require.NotEqual(t, http.StatusOK, b.post("/e/water", nil).status)
	require.Equal(t, http.StatusForbidden, b.post("/e/water/identify", typed(hanako)).status, "a form that nobody was shown")

	got := b.get("/e/water")
	b.says("〇〇県水道局", "認証画面へ", "000-000-0000", `content="noindex`)
	require.Contains(t, got.header.Get("X-Robots-Tag"), "noindex")
	require.Equal(t, "no-store", got.header.Get("Cache-Control"))
	require.NotContains(t, got.body, "<script")
	require.Contains(t, b.get("/e/water?lang=en").body, "Continue")
	b.submit("open", nil)
	b.says("Name in katakana", "Date of birth", "Mobile phone number")
	require.Equal(t, http.StatusNotFound, func() int {
		action, token := b.form("identify")
		return b.post(strings.Replace(action, "identify", "pay", 1), url.Values{"form": {token}}).status
	}())

	// The page before the questions is the tenant's to leave out, and says what it wants.
	water := *w.water()
	water.PrePage.Notice = "毎度ご利用いただきましてありがとうございます。"
	w.must(w.tenants.Apply(t.Context(), water))
	b = w.newBrowser()
	b.get("/e/water")
	b.says(water.PrePage.Notice)
	water.PrePage.Skip = true
	w.must(w.tenants.Apply(t.Context(), water))
	b = w.newBrowser()
	b.get("/e/water")
	b.submit("identify", url.Values{"kana_name": {hanako.Name}})
	b.says("入力されていない項目があります")
	b.submit("identify", typed(hanako))
	b.says("認証番号の入力")
}

func TestPersonFindsTheOpenMessages(t *testing.T) {
	w := newEntry(t)
	older := w.send(forHanako("古いお知らせ"))
	ended := forHanako("終わったお知らせ")
	ended.expires = time.Minute
	w.send(ended)
	strangers := w.send(forHanako("他の方のお知らせ"))
	w.must(w.stops.Disown(t.Context(), strangers.ref, w.now()))
	later := forHanako("まだ送られていないお知らせ")
	later.parts = 1
	w.send(later)
	brother := forHanako("別の方のお知らせ")
	brother.person.Name = "スイドウ ジロウ"
	w.send(brother)
	elsewhere := forHanako("ほかの質問があるお知らせ")
	elsewhere.person = identity.Person{}
	w.send(elsewhere)
	newer := w.send(forHanako("新しいお知らせ"))
	w.pass(2 * time.Minute)

	b := w.entrance()
	b.says("生年月日", "お名前（カナ）", "携帯電話番号", "〇〇県水道局")
	b.submit("identify", url.Values{"kana_name": {hanako.Name}})
	b.says("入力されていない項目があります")
	b.submit("identify", url.Values{"kana_name": {hanako.Name}, "birth_date": {"98"}, "phone": {hanako.Phone}})
	b.says("入力の形式をご確認ください")
	b.submit("identify", typed(hanako))
	b.says("認証番号の入力", "入力した内容が登録と異なるときは、SMSは送信されません")
	require.NotContains(t, b.shown.body, "9008", "no number is shown")
	require.Equal(t, 1, w.out.count())
	require.Equal(t, [2]any{ownNumber, newer.ref.ID}, [2]any{w.out.sent[0].To, w.out.sent[0].For}, "to the number on file")
	b.get("/e/water")
	b.says("認証番号の入力")
	b.submit("code", url.Values{"code": {"000000"}})
	b.says("認証番号が違う")
	b.submit("code", url.Values{"code": {w.out.code()}})
	b.says("お知らせの一覧", "新しいお知らせ", "古いお知らせ", "2件")
	for _, other := range []string{"終わった", "他の方", "別の方", "まだ送られて", "ほかの質問"} {
		require.NotContains(t, b.shown.body, other)
	}
	require.Contains(t, b.shown.body, `content="noindex`)
	require.True(t, w.state(newer).IdentifiedAt.IsZero(), "nothing was opened yet")

	menu := b.shown
	action, token := b.form("pick")
	b.post(action, url.Values{"form": {token}, "message": {strangers.ref.ID.String()}})
	b.says("お知らせの一覧")
	b.post(action, url.Values{"form": {token}, "message": {"x"}})
	b.says("お知らせの一覧")
	require.True(t, b.pick(older))
	require.Equal(t, w.path(older), b.shown.path)
	b.says("古いお知らせ")
	s := w.state(older)
	require.False(t, s.OpenedAt.IsZero() || s.IdentifiedAt.IsZero() || s.ViewedAt.IsZero())
	require.Empty(t, s.DoubtfulOpening)
	s = w.state(newer)
	require.True(t, s.OpenedAt.IsZero() && s.IdentifiedAt.IsZero(), "the other was not opened")
	b.get("/e/water")
	require.True(t, b.pick(newer), "the list is still there")
	b.says("新しいお知らせ")

	// A code is right once, and another browser has not passed, whatever it posts.
	other := w.entrance()
	_, token = other.form("identify")
	require.NotContains(t, other.post("/e/water/pick", url.Values{"form": {token}, "message": {newer.ref.ID.String()}}).body, "新しいお知らせ")
	require.Equal(t, http.StatusForbidden, w.newBrowser().post(action, url.Values{"message": {newer.ref.ID.String()}}).status)
	w.pass(time.Minute)
	other = w.entrance()
	used := w.out.code()
	other.submit("identify", typed(hanako))
	require.NotEqual(t, used, w.out.code())
	other.submit("code", url.Values{"code": {used}})
	other.says("認証番号が違う")
	require.Equal(t, "no-store", menu.header.Get("Cache-Control"))

	// What ends meanwhile is gone from the list, also for whoever has it open.
	b.get("/e/water")
	w.pass(2 * time.Minute)
	w.must(w.stops.Disown(t.Context(), older.ref, w.now()))
	require.True(t, b.pick(older))
	b.says("お知らせの一覧")
	require.False(t, b.pick(older))
	w.pass(31 * time.Minute)
	b.get("/e/water")
	b.says("認証画面へ")

	for _, secret := range []string{hanako.Name, hanako.Birth, ownNumber, ownNumber[3:], used, older.token} {
		require.NotContains(t, w.logged(), secret)
	}
}

func TestTenantsAreApartAtTheirEntries(t *testing.T) {
	w := newEntry(t)
	w.send(forHanako("お知らせ"))
	gas := *w.water()
	gas.ID, gas.Name, gas.Agents = "gas", "〇〇ガス", nil
	w.must(w.tenants.Apply(t.Context(), gas))
	b := w.newBrowser()
	b.get("/e/gas")
	b.submit("open", nil)
	b.submit("identify", typed(hanako))
	b.says("認証番号の入力")
	require.Zero(t, w.out.count())
	in := w.arrived(hanako)
	action, token := in.form("pick")
	require.Equal(t, http.StatusForbidden, in.post(strings.Replace(action, "water", "gas", 1), url.Values{"form": {token}}).status)
	in.get("/e/gas")
	in.says("認証画面へ")
}

// As at a link: what is seen after a hit and after a miss is the same to the byte but for what is random.
func TestFoundAndNotFoundCannotBeToldApart(t *testing.T) {
	type seen struct {
		body, path, headers string
		status              int
		session             journey.Session
	}
	walk := func(t *testing.T, prepare func(w *world), who identity.Person) (all []seen, sent int) {
		w := newEntry(t)
		if prepare != nil {
			prepare(w)
		}
		before := w.out.count()
		b := w.entrance()
		note := func() {
			headers := maps.Clone(b.shown.header)
			cookie := strings.SplitN(headers.Get("Set-Cookie"), ";", 2)
			name, value, _ := strings.Cut(cookie[0], "=")
			session, ok := w.server.seal.read(name, []byte(value))
			require.True(t, ok)
			require.True(t, session.Key != nil && session.Held != 0)
			// What is random, or a time; and one digit or another.
			session.ID, session.Since, session.Seen, session.CodeAt, session.Held = journey.ID{}, 0, 0, 0, 0
			session.Key = make([]byte, len(session.Key))
			headers.Del("Date")
			headers.Set("Set-Cookie", name+cookie[1])
			var lines []string
			for k, v := range headers {
				lines = append(lines, k+": "+strings.Join(v, " | "))
			}
			slices.Sort(lines)
			body := tokenPattern.ReplaceAllString(b.shown.body, "FORM")
			all = append(all, seen{body, b.shown.path, strings.Join(lines, "\n"), b.shown.status, *session})
		}
		slow := func(step string, values url.Values) {
			came := time.Now()
			b.submit(step, values)
			require.GreaterOrEqual(t, time.Since(came), alikeAfter, "the time of a commit is not seen")
			note()
		}
		slow("identify", typed(who))
		slow("resend", nil) // too soon
		w.pass(time.Minute)
		slow("resend", nil)
		slow("code", nil)
		slow("code", url.Values{"code": {strings.Repeat("1", 65)}})
		for _, code := range []string{"000001", "000002", "000003", "000004", "000005"} {
			slow("code", url.Values{"code": {code}})
		}
		slow("identify", typed(who))
		b.submit("again", nil)
		note()
		return all, w.out.count() - before
	}
	hit, sent := walk(t, func(w *world) { w.send(forHanako("お知らせ")) }, hanako)
	require.Equal(t, 2, sent, "the third is behind the lock")
	for i, what := range []string{"認証番号の入力", "認証番号の入力", "再送信を受け付けました", "認証番号を入力してください", "形式をご確認ください", "認証番号が違う"} {
		require.Contains(t, hit[i].body, what)
	}
	require.Contains(t, hit[9].body, "ご本人の確認ができませんでした", "five wrong codes lead back")
	require.Contains(t, hit[11].body, "入力できる回数を超えました", "three codes a session")

	with := func(change func(p *identity.Person)) identity.Person {
		p := hanako
		change(&p)
		return p
	}
	there := func(w *world) { w.send(forHanako("お知らせ")) }
	for name, miss := range map[string]struct {
		prepare func(w *world)
		who     identity.Person
		sent    int
	}{
		"name":    {there, with(func(p *identity.Person) { p.Name = "スイドウ ジロウ" }), 0},
		"birth":   {there, with(func(p *identity.Person) { p.Birth = "19980102" }), 0},
		"number":  {there, with(func(p *identity.Person) { p.Phone = "+818012349009" }), 0},
		"nobody":  {nil, hanako, 0},
		"expired": {func(w *world) { there(w); w.pass(90 * time.Minute) }, hanako, 0},
		"disowned": {func(w *world) {
			w.must(w.stops.Disown(w.ctx(), w.send(forHanako("お知らせ")).ref, w.now()))
		}, hanako, 0},
		"locked": {func(w *world) {
			m := w.send(forHanako("お知らせ"))
			for range identity.MaxTries {
				_, err := w.identity.Code(w.ctx(), w.water(), m.ref, "000000", false)
				w.must(err)
			}
		}, hanako, 0},
		"asked for too often": {func(w *world) {
			there(w)
			for range 10 {
				w.entrance().submit("identify", typed(with(func(p *identity.Person) { p.Birth = "20000101" })))
			}
		}, hanako, 0},
		"the tenant's budget is spent": {func(w *world) {
			there(w)
			water := *w.water()
			water.Policy.CodesPerDay = 1
			w.must(w.tenants.Apply(w.ctx(), water))
		}, hanako, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all, sent := walk(t, miss.prepare, miss.who)
			require.Equal(t, miss.sent, sent)
			require.Len(t, all, len(hit))
			for i := range hit {
				require.Equal(t, hit[i], all[i], "screen %d", i)
			}
		})
	}
}

func TestSharedEntryHasItsLimits(t *testing.T) {
	w := newEntry(t)
	d := forHanako("お知らせ")
	d.expires, d.until = 400*time.Hour, 400*time.Hour
	m := w.send(d)
	day := func(t *testing.T, what func(t *testing.T, sent func() int)) {
		w.pass(25 * time.Hour)
		before := w.out.count()
		what(t, func() int { return w.out.count() - before })
	}
	ask := func() *browser {
		b := w.entrance()
		b.submit("identify", typed(hanako))
		b.says("認証番号の入力")
		w.pass(6 * time.Second)
		return b
	}
	t.Run("of a code", func(t *testing.T) {
		day(t, func(t *testing.T, sent func() int) {
			b := ask()
			for _, wrong := range []string{"000001", "000002", "000003", "000004", "000005"} {
				b.submit("code", url.Values{"code": {wrong}})
			}
			b.submit("identify", typed(hanako))
			b.submit("code", url.Values{"code": {w.out.code()}})
			b.says("認証番号が違う")
			require.Equal(t, 1, sent(), "nothing is sent behind the lock")
			s := w.state(m)
			require.True(t, s.CodeLockedAt(w.now()))
			w.pass(31 * time.Minute)
			w.arrived(hanako)
		})
	})
	t.Run("of a session", func(t *testing.T) {
		day(t, func(t *testing.T, sent func() int) {
			b := ask()
			for range 2 {
				b.submit("again", nil)
				b.submit("identify", typed(hanako))
				w.pass(6 * time.Second)
			}
			require.Equal(t, 3, sent())
			b.submit("resend", nil)
			b.says("送信していません。30分以上", "000-000-0000")
			require.NotContains(t, b.shown.body, "認証番号を送信しました")
			b.submit("again", nil)
			b.says("入力できる回数を超えました", "000-000-0000")
			require.Equal(t, 3, sent())
			w.pass(20 * time.Minute)
			b.get("/e/water")
			w.pass(11 * time.Minute)
			b.get("/e/water")
			b.submit("identify", typed(hanako))
			b.submit("resend", nil)
			b.says("再送信していません。2分ほど")
			require.Equal(t, 4, sent())
		})
	})
	t.Run("of a number", func(t *testing.T) {
		day(t, func(t *testing.T, sent func() int) {
			for range 7 {
				ask()
			}
			require.Equal(t, 5, sent(), "an hour")
			for range 3 {
				w.pass(time.Hour)
				for range 5 {
					ask()
				}
			}
			require.Equal(t, 10, sent(), "a day")
		})
	})
	t.Run("of an address", func(t *testing.T) {
		day(t, func(t *testing.T, sent func() int) {
			b := w.entrance()
			for range w.server.asks.limit {
				w.server.asks.miss(netip.MustParseAddr("127.0.0.1"), w.now())
			}
			got := b.submit("identify", typed(hanako))
			require.Equal(t, http.StatusTooManyRequests, got.status)
			require.Equal(t, "600", got.header.Get("Retry-After"))
			b.says("混み合っている")
			require.Zero(t, sent())
			w.pass(budgetTime)
			ask()
			require.Equal(t, 1, sent())
		})
	})
	t.Run("of the tenant", func(t *testing.T) {
		day(t, func(t *testing.T, sent func() int) {
			water := *w.water()
			water.Policy.CodesPerDay = 2
			w.must(w.tenants.Apply(t.Context(), water))
			for range 3 {
				ask()
			}
			require.Equal(t, 2, sent())
			require.Contains(t, w.logged(), "come to a budget of the day")
		})
	})
}

// Every form of the shared entry, sent many times at the same moment by the same browser, does what it says once.
func TestEveryPostOfTheSharedEntryIsDoneOnce(t *testing.T) {
	w := newEntry(t)
	m := w.send(forHanako("お知らせ"))
	b := w.entrance()
	pressed := func(step string, values url.Values) {
		t.Helper()
		action, token := b.form(step)
		filled := url.Values{"form": {token}}
		maps.Copy(filled, values)
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				again := *b
				if again.post(action, filled); again.shown.status >= 400 {
					t.Errorf("%s: status %d", step, again.shown.status)
				}
			})
		}
		wg.Wait()
	}
	pressed("identify", typed(hanako))
	require.Equal(t, 1, w.out.count(), "one code")
	w.pass(time.Minute)
	b.get("/e/water")
	pressed("resend", nil)
	require.Equal(t, 2, w.out.count(), "one more")
	b.get("/e/water")
	pressed("code", url.Values{"code": {w.out.code()}})
	require.Equal(t, 1, w.count(m, message.Tried))
	b.get("/e/water")
	b.says("お知らせの一覧")
	pressed("pick", url.Values{"message": {m.ref.ID.String()}})
	require.Equal(t, [2]int{1, 1}, [2]int{w.count(m, message.Opened), w.count(m, message.Identified)})
	b.get(w.path(m))
	b.says("お知らせ")
	require.Positive(t, w.count(m, message.Viewed))
}

// A message that somebody tried to get at by its link is closed here too, until its lock ends; the others are open.
func TestLockOfAMessageHoldsAtTheSharedEntry(t *testing.T) {
	w := newEntry(t)
	locked := w.send(forHanako("閉じたお知らせ"))
	newer := w.send(forHanako("新しいお知らせ"))
	b := w.arrived(hanako)
	b.says("閉じたお知らせ", "新しいお知らせ")
	for range identity.MaxTries {
		_, err := w.identity.Code(t.Context(), w.water(), locked.ref, "000000", false)
		w.must(err)
	}
	require.True(t, b.pick(locked))
	b.says("お知らせの一覧", "新しいお知らせ")
	require.NotContains(t, b.shown.body, "閉じたお知らせ")
	require.Zero(t, w.count(locked, message.Opened))
	require.True(t, b.pick(newer))
	w.must(w.identity.Unlock(t.Context(), locked.ref, "user:tanto"))
	b.get("/e/water")
	require.True(t, b.pick(locked))
	b.says("閉じたお知らせ")
}

// However long it takes to send a code, the answer does not wait for it; nor is the code lost.
func TestNoAnswerOfTheSharedEntryWaitsForItsCode(t *testing.T) {
	w := newEntry(t)
	w.send(forHanako("お知らせ"))
	w.out.full = make(chan struct{})
	b := w.entrance()
	b.submit("identify", typed(hanako))
	b.says("認証番号の入力")
	w.pass(time.Minute)
	b.submit("resend", nil)
	b.says("再送信を受け付けました")
	require.Empty(t, w.out.sent)
	brief, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, w.server.o.Journey.Settle(brief), context.DeadlineExceeded, "whoever stops the program waits for it")
	close(w.out.full)
	require.Equal(t, 2, w.out.count())
	b.submit("code", url.Values{"code": {w.out.code()}})
	b.says("お知らせの一覧")
}
