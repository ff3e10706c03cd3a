package apptest

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kakitome/kakitome/engine/api/verifications"
	"github.com/kakitome/kakitome/engine/identity"
)

// TestCodeOfASendersOwnPage goes from the order of a code over SMPP to the handset and back by the check, through a killed
// engine: what was approved stays so, what was counted stays counted, and the code is nowhere but on the phone.
func TestCodeOfASendersOwnPage(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	c := newCountry(t, Options{})
	require.NoError(t, c.StartCarriers(ctx))
	require.NoError(t, c.StartEngine(ctx))
	sender, err := c.Join(ctx)
	require.NoError(t, err)
	order := func(i int) (v verifications.Verification, err error) {
		err = sender.Do(ctx, http.MethodPost, verifications.Path, []byte(`{"number":"`+Number(i)+`","reference":"login"}`), http.StatusAccepted, &v)
		return v, err
	}
	check := func(v verifications.Verification, code string) (identity.Status, int) {
		t.Helper()
		var out verifications.Verification
		err := sender.Do(ctx, http.MethodPost, verifications.Path+"/"+v.ID.String()+":check", []byte(`{"code":"`+code+`"}`), http.StatusOK, &out)
		var no *Refused
		if err != nil {
			require.ErrorAs(t, err, &no)
			return "", no.Status
		}
		return out.Status, http.StatusOK
	}
	read := regexp.MustCompile(`「([0-9]{6})」`)
	arrived := func(i int) (code string) {
		t.Helper()
		await(t, ctx, func() bool {
			ledger, err := ReadLedger(c.File("ledger.ndjson"))
			if err != nil || len(ledger.Received[Number(i)]) == 0 {
				return false
			}
			texts := ledger.Received[Number(i)]
			code = read.FindStringSubmatch(texts[len(texts)-1].Text)[1]
			return true
		})
		return code
	}

	v, err := order(1)
	require.NoError(t, err)
	code := arrived(1)
	wrong := strings.Map(func(r rune) rune { return '0' + ('9' - r) }, code)
	status, _ := check(v, wrong)
	require.Equal(t, identity.Pending, status)
	c.Engine.Kill()
	require.NoError(t, c.StartEngine(ctx))
	var now verifications.Verification
	require.NoError(t, sender.Do(ctx, http.MethodGet, verifications.Path+"/"+v.ID.String(), nil, http.StatusOK, &now))
	require.Equal(t, 4, now.TriesLeft, "the try is on disk")

	var mu sync.Mutex
	answers := map[int]int{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			status, code := check(v, code)
			mu.Lock()
			defer mu.Unlock()
			answers[code]++
			if code == http.StatusOK && status != identity.Approved {
				answers[-1]++
			}
		})
	}
	wg.Wait()
	require.Equal(t, map[int]int{http.StatusOK: 1, http.StatusConflict: 15}, answers, "one of them is let in")
	c.Engine.Kill()
	require.NoError(t, c.StartEngine(ctx))
	_, refused := check(v, code)
	require.Equal(t, http.StatusConflict, refused)

	shut, err := order(2)
	require.NoError(t, err)
	code2 := arrived(2)
	for range identity.MaxTries {
		status, _ = check(shut, strings.Map(func(r rune) rune { return '0' + ('9' - r) }, code2))
	}
	require.Equal(t, identity.Shut, status)
	status, _ = check(shut, code2)
	require.Equal(t, identity.Shut, status)

	for range 5 {
		_, err := order(3)
		require.NoError(t, err)
	}
	c.Engine.Kill()
	require.NoError(t, c.StartEngine(ctx))
	var no *Refused
	_, err = order(3)
	require.ErrorAs(t, err, &no)
	require.Equal(t, http.StatusTooManyRequests, no.Status, "a restart gives no further share")

	m, err := sender.Message(ctx, v.Message.String())
	require.NoError(t, err)
	require.Equal(t, "otp", string(m.Class))
	for _, root := range []string{c.Data(), c.File("kakitome.log")} {
		require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && (!d.Type().IsRegular() || strings.Contains(path, "/modules/")) {
				return nil // what the engine has merged meanwhile lies in another file
			}
			var data []byte
			if err == nil {
				data, err = os.ReadFile(path)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			require.NotContains(t, string(data), "「"+code+"」", path)
			require.NotContains(t, string(data), Number(1)[1:], path)
			return err
		}))
	}
}
