class FakeWorld: pass
