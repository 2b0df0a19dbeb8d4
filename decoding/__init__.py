"""How text is made: model references, engines, grammars, decoders, rollouts."""
