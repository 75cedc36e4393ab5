"""How good are the answers? Questions with known answers, four ways to ask them, and a report that can be trusted."""
